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

namespace {

EngineReport report_of(const Handle& handle) {
  EngineReport report = handle.report();
  for (const auto& other : LiveHandles::instance().sharing(handle.weights())) {
    if (other.get() != &handle) report.shared_with.push_back(other->identity().id);
  }
  return report;
}

}  // namespace

std::vector<EngineReport> engines() {
  std::vector<EngineReport> reports;
  for (const auto& handle : LiveHandles::instance().all()) reports.push_back(report_of(*handle));
  return reports;
}

EngineReport engine(uint64_t id) {
  const auto handle = LiveHandles::instance().find(id);
  return handle == nullptr ? EngineReport{} : report_of(*handle);
}

Error set_budgets(const std::vector<uint64_t>& ids, Span<const BackendOption> options) {
  return guarded("set_budgets", [&]() -> Status {
    auto handles = find_all(ids);
    if (!handles.ok()) return std::move(handles).failure();
    return change_budgets(copy_options(options), handles.value());
  });
}

Error reset_state(const std::vector<uint64_t>& ids) {
  return guarded("reset_state", [&]() -> Status {
    auto handles = find_all(ids);
    if (!handles.ok()) return std::move(handles).failure();
    for (const auto& handle : handles.value()) {
      Status reset = handle->reset_state();
      if (!reset.ok()) return reset;
    }
    return ok_status();
  });
}

Error set_budget(uint64_t id, Span<const BackendOption> options) { return set_budgets({id}, options); }

}  // namespace torchtrt_ws
