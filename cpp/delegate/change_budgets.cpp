#include "delegate/change_budgets.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

#include "delegate/arbiter.h"
#include "delegate/program_memory.h"
#include "delegate/put_back.h"
#include "engine/python_lock.h"
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

/// The live engines of the program of `handle`; those that may have to move have weights of their own.
ProgramEngines program_of(const Handle& handle) {
  Handles all = LiveHandles::instance().of(handle.identity().scope);
  const auto live = static_cast<int>(all.size());
  const auto is_same = [&](const auto& other) { return other->weights() == handle.weights(); };
  all.erase(std::remove_if(all.begin(), all.end(), is_same), all.end());
  return {std::move(all), live};
}

/// All engines of the programs of `handles`: a change of some may move those that are automatic.
Handles programs_of(const Handles& handles) {
  Handles all;
  std::set<const void*> scopes;
  for (const auto& handle : handles) {
    const void* scope = handle->identity().scope;
    if (!scopes.insert(scope).second) continue;
    for (auto& each : LiveHandles::instance().of(scope)) all.push_back(std::move(each));
  }
  return all;
}

}  // namespace

Status change_budgets(const std::vector<Option>& options, const Handles& handles) {
  Status keys = check_engine_keys(options, handles);
  if (!keys.ok()) return keys;
  const auto lock = lock_patiently(planning());
  std::vector<Change> changes;
  for (const auto& handle : handles) {
    auto request = read_request(options, {}, handle->identity().name);
    if (!request.ok()) return std::move(request).failure();
    Status awake = handle->check_change(request.value());
    if (!awake.ok()) return awake;
    const int64_t growth = handle->growth(request.value());
    const auto same = [&](const Change& each) {  // one change is for all engines on the weights
      return each.handle->weights() == handle->weights() && !each.request.engine && !request.value().engine &&
             each.growth == growth;
    };
    if (std::any_of(changes.begin(), changes.end(), same)) continue;
    // Those that shrink make room for those that grow.
    const auto next =
        std::find_if(changes.begin(), changes.end(), [growth](const Change& each) { return each.growth > growth; });
    changes.insert(next, {handle.get(), std::move(request).value(), growth});
  }
  const BudgetsBefore before = budgets_of(programs_of(handles));
  // What fails of putting back is in the log; the caller learns what he asked for.
  try {
    for (const Change& change : changes) {
      auto previous = change.handle->change_budget(change.request, program_of(*change.handle));
      if (previous.ok()) continue;
      (void)put_back(before);
      return std::move(previous).failure();
    }
  } catch (...) {  // no host memory
    (void)put_back(before);
    throw;
  }
  keep_headroom_for(handles);
  return ok_status();
}

}  // namespace torchtrt_ws
