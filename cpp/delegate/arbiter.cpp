#include "delegate/arbiter.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/quote.h"
#include "budget/headroom_look.h"
#include "budget/request.h"
#include "budget/room_plan.h"
#include "delegate/error.h"
#include "delegate/headroom.h"
#include "delegate/live_handles.h"
#include "delegate/put_back.h"
#include "delegate/tenancy.h"
#include "engine/log.h"

namespace torchtrt_ws {
namespace {

std::string bytes_of(int64_t count) { return std::to_string(count) + " bytes"; }

std::set<std::string> devices_of_engines() {
  std::set<std::string> devices;
  for (const auto& handle : LiveHandles::instance().all()) devices.insert(handle->report().device);
  return devices;
}

/// What went wrong while budgets moved.
struct Refusals {
  std::set<const void*> weights;
  std::set<const void*> tried;  // of engines that had never streamed
  std::optional<Failure> first;

  /// Whether an engine is worth another plan: one that never streamed has told its scratch only now. Once for each.
  bool knows_more(const Tenant& tenant, const Claim& claim, const Failure& failure) {
    return failure.code == ErrorCode::DoesNotFit && claim.scratch == 0 && tried.insert(tenant.weights).second;
  }

  void add(const Tenant& tenant, Failure failure) {
    weights.insert(tenant.weights);
    if (failure.code == ErrorCode::WrongState) return;  // it was destroyed meanwhile: nothing to say
    log_notes(tenant.handle->identity().name, {"warning: it keeps its budget: " + failure.message()});
    if (!first) first = std::move(failure);
  }
};

/// Shrinks engines to the budgets of a plan. Returns whether one that keeps its budget is worth another plan.
bool take(const Tenancy& all, const std::vector<int64_t>& budgets, Source who, Refusals& refusals) {
  bool knows_more = false;
  for (size_t i = 0; i < budgets.size(); ++i) {
    if (budgets[i] >= all.claims[i].now) continue;
    Status taken = all.tenants[i].handle->take(budgets[i], who);
    if (!taken.ok() && refusals.knows_more(all.tenants[i], all.claims[i], taken.failure())) {
      knows_more = true;
      continue;
    }
    if (!taken.ok()) {
      refusals.add(all.tenants[i], std::move(taken).failure());
      continue;
    }
    log_info("engine '" + all.tenants[i].handle->identity().name + "': budget " + bytes_of(budgets[i]) +
             " instead of " + std::to_string(all.claims[i].now) + ": " + source_name(who));
  }
  return knows_more;
}

int64_t sum_of_budgets(const Tenancy& all) {
  int64_t sum = 0;
  for (const Claim& claim : all.claims) sum += claim.now;
  return sum;
}

/// Takes until `bytes` are free or nobody can give more; returns how many are missing still. Plans again after each
/// round: what engines really free is known then, and so is the scratch of those that never streamed before.
int64_t take_until_free(const std::string& device, int64_t bytes, Source who, bool all_or_nothing, Refusals& refusals) {
  int64_t kept = std::numeric_limits<int64_t>::max();
  for (bool knows_more = false;;) {
    const Tenancy all = look_at(device, refusals.weights);
    const int64_t missing = bytes - all.free;
    if (missing <= 0) return 0;
    const RoomPlan plan = plan_room(missing, all.claims);
    // Each round takes something, or learns: a runtime that says it takes a budget and keeps another ends this too.
    if (std::exchange(kept, sum_of_budgets(all)) <= kept && !knows_more) return missing;
    if (plan.freed <= 0 || (all_or_nothing && plan.freed < missing)) return missing - plan.freed;
    knows_more = take(all, plan.budgets, who, refusals);
  }
}

/// Grows one engine to `budget`, or where that does not fit after all by half as much, and again.
void give(const Tenant& tenant, Claim claim, int64_t budget, Refusals& refusals) {
  claim.margin = 0;  // the plan has left it free
  const std::string& name = tenant.handle->identity().name;
  while (budget > claim.now) {
    Status given = tenant.handle->give(budget);
    if (given.ok()) {
      log_info("engine '" + name + "': budget " + bytes_of(budget) + " instead of " + std::to_string(claim.now) +
               ": given back");
      return;
    }
    if (given.failure().code != ErrorCode::DoesNotFit) return refusals.add(tenant, std::move(given).failure());
    log_notes(name, {"warning: it does not get back " + bytes_of(budget) + ": " + given.failure().message()});
    budget = plan_return((budget - claim.now) / 2, {claim}).budgets[0];
  }
}

/// Grows engines to the budgets of a plan.
void give(const Tenancy& all, const std::vector<int64_t>& budgets, Refusals& refusals) {
  for (size_t i = 0; i < budgets.size(); ++i) give(all.tenants[i], all.claims[i], budgets[i], refusals);
}

Result<int64_t> freed_since(int64_t before, const std::string& device, Refusals refusals) {
  if (refusals.first) return std::move(*refusals.first);
  return before - look_at(device).engines;
}

Failure no_engine_on(const std::string& device) {
  std::string devices;
  for (const std::string& each : devices_of_engines()) devices += (devices.empty() ? "one of " : ", ") + each;
  return {ErrorCode::BadArgument, "device " + in_quotes(device), "no live engine on it",
          devices.empty() ? "a loaded program" : devices, "Load a program first, or mend the name"};
}

Result<int64_t> look_at_headroom_of(const std::string& device) {
  Tenancy all = look_at(device);
  if (!all.found) return int64_t{0};
  Headroom& headroom = headroom_of(device);
  const HeadroomLook look = look_at_headroom(all.free, headroom.bytes, headroom.was_calm);
  headroom.was_calm = look.is_calm;
  Refusals refusals;
  if (look.missing > 0) {
    const int64_t missing = take_until_free(device, headroom.bytes, Source::Headroom, false, refusals);
    if (!std::exchange(headroom.was_short, missing > 0) && missing > 0) {
      log_info("warning: " + device + ": " + bytes_of(missing) + " of its headroom of " + bytes_of(headroom.bytes) +
               " are missing, and no engine can give more");
    }
  } else if (look.spare > 0) {
    for (size_t i = 0; i < all.claims.size(); ++i) {
      const std::optional<Taken>& taken = all.tenants[i].taken;
      if (taken && taken->left) all.claims[i].most = *taken->left;
    }
    give(all, plan_return(look.spare, all.claims).budgets, refusals);
  }
  return freed_since(all.engines, device, std::move(refusals));
}

}  // namespace

Result<int64_t> free_bytes_of(const std::string& device, int64_t bytes) {
  const Tenancy before = look_at(device);
  if (!before.found) return no_engine_on(device);
  const BudgetsBefore budgets = budgets_of(LiveHandles::instance().all());
  Refusals refusals;
  const int64_t missing = take_until_free(device, bytes, Source::MakeRoom, true, refusals);
  if (missing == 0) return before.engines - look_at(device).engines;
  (void)put_back(budgets);  // what fails of it is in the log
  std::string found = "at most " + bytes_of(bytes - missing) + " that can be made free";
  if (refusals.first) found += " (" + refusals.first->message() + ")";
  return Failure{ErrorCode::DoesNotFit, "device " + in_quotes(device), std::move(found), bytes_of(bytes),
                 "Ask for less, put engines to sleep, or free memory elsewhere"};
}

Result<int64_t> return_to_all() {
  for (const auto& handle : LiveHandles::instance().all()) handle->let_go();
  Result<int64_t> sum = int64_t{0};
  for (const std::string& device : devices_of_engines()) {
    Tenancy all = look_at(device);
    const int64_t headroom = headroom_bytes(device);
    for (size_t i = 0; i < all.claims.size(); ++i) {
      const bool automatic = all.tenants[i].taken && all.tenants[i].taken->wanted.automatic;
      all.claims[i].margin = automatic ? std::max<int64_t>(kDefaultMargin - headroom, 0) : 0;
    }
    Refusals refusals;
    give(all, plan_return(all.free - headroom, all.claims).budgets, refusals);
    auto freed = freed_since(all.engines, device, std::move(refusals));
    if (!sum.ok()) continue;
    sum = freed.ok() ? Result<int64_t>(sum.value() + freed.value()) : std::move(freed);
  }
  return sum;
}

Result<int64_t> look_at_all_headrooms() {
  Result<int64_t> sum = int64_t{0};
  for (const std::string& device : devices_with_headroom()) {
    auto freed = look_at_headroom_of(device);
    if (!sum.ok()) continue;
    sum = freed.ok() ? Result<int64_t>(sum.value() + freed.value()) : std::move(freed);
  }
  return sum;
}

void keep_headroom(const std::string& device) noexcept {
  (void)guarded("keeping the headroom", [&]() -> Status {
    const int64_t headroom = headroom_bytes(device);
    if (headroom == 0) return ok_status();
    Refusals refusals;  // are in the log
    (void)take_until_free(device, headroom, Source::Headroom, false, refusals);
    return ok_status();
  });
}

void keep_headroom_for(const Handles& handles) noexcept {
  (void)guarded("keeping the headroom", [&]() -> Status {
    std::set<std::string> devices;
    for (const auto& handle : handles) devices.insert(handle->report().device);
    for (const std::string& device : devices) keep_headroom(device);
    return ok_status();
  });
}

}  // namespace torchtrt_ws
