#include "delegate/change_budgets.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "delegate/program_memory.h"
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

struct Change {
  Handle* handle;
  Request request;
  int64_t growth;  // bytes
};

/// The live engines of the program of `handle` that have weights of their own.
Handles others_of(const Handle& handle) {
  Handles others = LiveHandles::instance().of(handle.identity().scope);
  const auto is_same = [&](const auto& other) { return other->weights() == handle.weights(); };
  others.erase(std::remove_if(others.begin(), others.end(), is_same), others.end());
  return others;
}

}  // namespace

Status change_budgets(const std::vector<Option>& options, const Handles& handles) {
  Status keys = check_engine_keys(options, handles);
  if (!keys.ok()) return keys;
  const std::lock_guard<std::mutex> lock(planning());
  std::vector<Change> changes;
  for (const auto& handle : handles) {
    auto request = read_request(options, {}, handle->identity().name);
    if (!request.ok()) return std::move(request).failure();
    const int64_t growth = handle->growth(request.value());
    changes.push_back({handle.get(), std::move(request).value(), growth});
  }
  // Those that shrink make room for those that grow.
  std::stable_sort(changes.begin(), changes.end(),
                   [](const Change& a, const Change& b) { return a.growth < b.growth; });
  std::vector<std::pair<Handle*, Handle::Previous>> changed;
  for (const Change& change : changes) {
    auto previous = change.handle->change_budget(change.request, others_of(*change.handle));
    if (previous.ok()) {
      if (previous.value()) changed.emplace_back(change.handle, *previous.value());
      continue;
    }
    for (auto it = changed.rbegin(); it != changed.rend(); ++it) it->first->undo_change(it->second);
    return std::move(previous).failure();
  }
  return ok_status();
}

}  // namespace torchtrt_ws
