#include "delegate/refit_engines.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "base/quote.h"
#include "delegate/assign_weights.h"
#include "delegate/error.h"
#include "delegate/program_memory.h"
#include "delegate/refitting.h"
#include "delegate/sharing.h"
#include "engine/log.h"
#include "engine/python_lock.h"

namespace torchtrt_ws {
namespace {

/// Where the loads of these bytes wait. Several are always taken in the order of their addresses.
std::vector<std::shared_ptr<std::mutex>> openings_of(const Handles& handles) {
  std::set<std::shared_ptr<std::mutex>> openings;
  for (const auto& handle : handles) {
    if (handle->key()) openings.insert(opening(*handle->key()));
  }
  return {openings.begin(), openings.end()};
}

/// Engines on one copy of weights.
struct Group {
  Handles handles;
  std::vector<NewWeight> weights;
};

std::vector<Group> groups_of(const Handles& handles) {
  std::vector<Group> groups;
  for (const auto& handle : handles) {
    const auto same = [&](const Group& each) { return each.handles.front()->weights() == handle->weights(); };
    const auto found = std::find_if(groups.begin(), groups.end(), same);
    if (found == groups.end()) {
      groups.push_back({{handle}, {}});
    } else {
      found->handles.push_back(handle);
    }
  }
  return groups;
}

/// Each name once: the contexts of a program have engines of one name.
std::string names_in(const Group& group) {
  Handles once;
  for (const auto& handle : group.handles) {
    const auto same = [&](const auto& each) { return each->identity().name == handle->identity().name; };
    if (std::none_of(once.begin(), once.end(), same)) once.push_back(handle);
  }
  return names_of(once);
}

Status only_named(std::vector<Group>& groups, const std::string& engine, const Handles& handles) {
  if (engine.empty()) return ok_status();
  const auto is_named = [&](const auto& handle) { return handle->identity().name == engine; };
  const auto is_other = [&](const Group& group) {
    return std::none_of(group.handles.begin(), group.handles.end(), is_named);
  };
  groups.erase(std::remove_if(groups.begin(), groups.end(), is_other), groups.end());
  if (groups.empty()) {
    return Failure{ErrorCode::BadArgument, "engine " + in_quotes(engine), "no engine of that name",
                   "one of " + names_of(handles), "Mend the name"};
  }
  return ok_status();
}

/// Leaves those that take weights. Fails where none does, as the first of them.
Result<std::vector<WeightsCopy>> copies_of(std::vector<Group>& groups) {
  std::vector<Group> taking;
  std::vector<WeightsCopy> copies;
  std::optional<Failure> refused;
  for (Group& group : groups) {
    auto takes = group.handles.front()->refittable_weights();
    if (takes.ok()) {
      copies.push_back({names_in(group), std::move(takes).value()});
      taking.push_back(std::move(group));
    } else if (!refused) {
      refused = std::move(takes).failure();
    }
  }
  groups = std::move(taking);
  if (!copies.empty()) return copies;
  return refused.value_or(
      Failure{ErrorCode::NotSupported, "weights", "no engines", "engines that take weights", "Load a program"});
}

/// What changes is nobody else's.
Status check_alone(const Group& group, const Handles& handles) {
  for (const auto& sharer : LiveHandles::instance().sharing(group.handles.front()->weights())) {
    if (std::find(handles.begin(), handles.end(), sharer) != handles.end()) continue;
    return Failure{ErrorCode::WrongState, "engine '" + group.handles.front()->identity().name + "'",
                   "another program that shares its weights, which would change too",
                   "weights that this program alone has",
                   "Load one of them with share_engines=False (use_shared_engines), or close the other"};
  }
  return ok_status();
}

void say_done(const Group& group) {
  int64_t bytes = 0;
  for (const NewWeight& weight : group.weights) bytes += weight.bytes;
  log_info("engine '" + group.handles.front()->identity().name +
           "': refitted: weights=" + std::to_string(group.weights.size()) + " bytes=" + std::to_string(bytes));
}

/// All, or none.
Status refit_groups(const std::vector<Group>& groups) {
  std::vector<std::unique_ptr<Handle::Refitting>> all;
  all.reserve(groups.size());
  for (const Group& group : groups) all.push_back(std::make_unique<Handle::Refitting>(*group.handles.front()));
  size_t count = 0;
  const auto undo_and_resume = [&all, &count] {
    while (count > 0) all[--count]->undo();
    for (const auto& each : all) each->resume();
  };
  Status done = ok_status();
  try {
    while (done.ok() && count < all.size()) {
      done = all[count]->refit(groups[count].weights);
      if (done.ok()) ++count;
    }
  } catch (...) {  // no host memory for the copies of weights
    undo_and_resume();
    throw;
  }
  if (done.ok()) count = 0;  // nothing to undo
  undo_and_resume();
  return done;
}

}  // namespace

Status refit_engines(const Handles& handles, const std::vector<NewWeight>& weights, const std::string& engine) {
  const std::vector<std::shared_ptr<std::mutex>> openings = openings_of(handles);
  std::vector<std::unique_lock<std::mutex>> nobody_opens;
  nobody_opens.reserve(openings.size());
  for (const auto& mutex : openings) nobody_opens.push_back(lock_patiently(*mutex));
  const auto lock = lock_patiently(planning());
  std::vector<Group> groups = groups_of(handles);
  Status named = only_named(groups, engine, handles);
  if (!named.ok()) return named;
  auto copies = copies_of(groups);
  if (!copies.ok()) return std::move(copies).failure();
  auto assigned = assign_weights(weights, copies.value());
  if (!assigned.ok()) return std::move(assigned).failure();
  for (size_t i = 0; i < groups.size(); ++i) {
    for (const size_t index : assigned.value()[i]) groups[i].weights.push_back(weights[index]);
  }
  const auto stays = [](const Group& group) { return group.weights.empty(); };
  groups.erase(std::remove_if(groups.begin(), groups.end(), stays), groups.end());
  for (const Group& group : groups) {
    Status alone = check_alone(group, handles);
    if (!alone.ok()) return alone;
  }
  Status done = refit_groups(groups);
  if (!done.ok()) return done;
  for (const Group& group : groups) say_done(group);
  return done;
}

executorch::runtime::Result<std::vector<RefittableWeight>> refittable_weights(uint64_t id) {
  std::vector<RefittableWeight> takes;
  const auto error = guarded("refittable_weights", [&]() -> Status {
    auto handles = find_all({id});
    if (!handles.ok()) return std::move(handles).failure();
    auto found = handles.value().front()->refittable_weights();
    if (!found.ok()) return std::move(found).failure();
    takes = std::move(found).value();
    return ok_status();
  });
  if (error != executorch::runtime::Error::Ok) return error;
  return takes;
}

executorch::runtime::Error refit(const std::vector<uint64_t>& ids, const std::vector<NewWeight>& weights,
                                 const std::string& engine) {
  return guarded("refit", [&]() -> Status {
    auto handles = find_all(ids);
    if (!handles.ok()) return std::move(handles).failure();
    return refit_engines(handles.value(), weights, engine);
  });
}

}  // namespace torchtrt_ws
