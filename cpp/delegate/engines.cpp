#include "torchtrt_ws/engines.h"

#include <utility>

#include "delegate/change_budgets.h"
#include "delegate/error.h"
#include "delegate/live_handles.h"
#include "delegate/read_options.h"

namespace torchtrt_ws {

using executorch::runtime::BackendOption;
using executorch::runtime::Error;
using executorch::runtime::Span;

std::vector<EngineReport> engines() {
  std::vector<EngineReport> reports;
  for (const auto& handle : LiveHandles::instance().all()) reports.push_back(handle->report());
  return reports;
}

EngineReport engine(uint64_t id) {
  const auto handle = LiveHandles::instance().find(id);
  return handle == nullptr ? EngineReport{} : handle->report();
}

Error set_budgets(const std::vector<uint64_t>& ids, Span<const BackendOption> options) {
  return guarded("set_budgets", [&]() -> Status {
    auto handles = find_all(ids);
    if (!handles.ok()) return std::move(handles).failure();
    return change_budgets(copy_options(options), handles.value());
  });
}

Error set_budget(uint64_t id, Span<const BackendOption> options) { return set_budgets({id}, options); }

}  // namespace torchtrt_ws
