#include "delegate/change_budgets.h"

#include <utility>

#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

Status check_engine_keys(const std::vector<Option>& options, const Handles& handles) {
  for (const Option& option : options) {
    const auto name = name_behind(kEngineBudgetPrefix, option.key);
    if (!name || name->empty()) continue;
    auto named = find_named(handles, *name, option.key);
    if (!named.ok()) return std::move(named).failure();
  }
  return ok_status();
}

}  // namespace

Status change_budgets(const std::vector<Option>& options, const Handles& handles) {
  Status keys = check_engine_keys(options, handles);
  if (!keys.ok()) return keys;
  std::vector<Request> requests;
  for (const auto& handle : handles) {
    auto request = read_request(options, {}, handle->identity().name);
    if (!request.ok()) return std::move(request).failure();
    requests.push_back(std::move(request).value());
  }
  std::vector<std::pair<Handle*, Handle::Previous>> changed;
  for (size_t i = 0; i < handles.size(); ++i) {
    auto previous = handles[i]->change_budget(requests[i]);
    if (previous.ok()) {
      if (previous.value()) changed.emplace_back(handles[i].get(), *previous.value());
      continue;
    }
    for (auto it = changed.rbegin(); it != changed.rend(); ++it) it->first->undo_change(it->second);
    return std::move(previous).failure();
  }
  return ok_status();
}

}  // namespace torchtrt_ws
