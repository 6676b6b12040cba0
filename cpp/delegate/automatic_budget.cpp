#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "budget/memory_plan.h"
#include "delegate/error.h"
#include "delegate/headroom.h"
#include "delegate/live_handles.h"
#include "delegate/program_memory.h"
#include "engine/python_lock.h"
#include "torchtrt_ws/engines.h"

namespace torchtrt_ws {
namespace {

/// Engines on one copy of weights. One of them counts these; what the others say of their contexts has the scratch in
/// it while they stream.
class Sharers {
 public:
  void add(const MemoryFacts& facts, const void* scope) {
    staging_ += facts.staging;
    const bool new_block = std::find(scopes_.begin(), scopes_.end(), scope) == scopes_.end();
    if (new_block) scopes_.push_back(scope);
    if (!facts.in_block || new_block) ++contexts_;  // those of one program work in one block, one after the other
    if (engines_++ == 0 || facts.streamable > 0) one_ = facts;
  }

  Demand demand() const { return {one_.streamable, one_.scratch * contexts_, one_.context * contexts_, staging_}; }

 private:
  MemoryFacts one_{};
  int64_t engines_ = 0;
  int64_t contexts_ = 0;
  int64_t staging_ = 0;
  std::vector<const void*> scopes_;
};

/// The engines of one device, which share its memory.
struct Neighbours {
  int64_t available = 0;                   // bytes: what is free, and what they hold
  std::map<const void*, Sharers> engines;  // by their weights
  Working working = Working::Apart;
};

/// A single engine gets its own choice where that is more (ProgramMemory::choose()).
Result<int64_t> of_one(const Handle& handle, const MemoryFacts& facts, int64_t planned) {
  auto own = handle.own_choice();
  if (!own.ok()) return own;
  const int64_t chosen = std::max(planned, std::min(own.value(), largest_budget_that_fits(facts)));
  return chosen >= facts.streamable - facts.scratch ? facts.streamable : chosen;  // none in the hole (resolve.h)
}

Result<int64_t> plan(const Handles& handles, std::optional<int64_t> margin) {
  std::map<std::string, Neighbours> devices;
  std::optional<Handle::Standing> standing;
  for (const auto& handle : handles) {
    standing = handle->standing();
    if (!standing) continue;
    const MemoryFacts& facts = standing->memory;
    auto [found, is_new] = devices.try_emplace(standing->device);
    Neighbours& all = found->second;
    if (is_new) {  // the block, once, and what each holds itself
      const int64_t kept_free = std::max(margin.value_or(kDefaultMargin), headroom_bytes(standing->device));
      all.available = facts.free - facts.held + facts.held_block + facts.shared - kept_free;
      if (facts.in_block) all.working = Working::InOneBlock;
    }
    all.available += facts.held - facts.held_block;
    all.engines[handle->weights()].add(facts, handle->identity().scope);
  }
  int64_t sum = 0;
  for (const auto& [device, all] : devices) {
    std::vector<Demand> demands;
    for (const auto& [weights, sharers] : all.engines) demands.push_back(sharers.demand());
    for (const int64_t budget : plan_memory(all.available, demands, all.working).budgets) sum += budget;
  }
  const bool has_headroom = standing && headroom_bytes(standing->device) > 0;
  if (handles.size() == 1 && standing && !margin && !has_headroom) return of_one(*handles[0], standing->memory, sum);
  return sum;
}

}  // namespace

executorch::runtime::Result<int64_t> automatic_budget(const std::vector<uint64_t>& ids, std::optional<int64_t> margin) {
  int64_t bytes = 0;
  const auto error = guarded("automatic_budget", [&]() -> Status {
    auto handles = find_all(ids);
    if (!handles.ok()) return std::move(handles).failure();
    const auto lock = lock_patiently(planning());
    auto planned = plan(handles.value(), margin);
    if (!planned.ok()) return std::move(planned).failure();
    bytes = planned.value();
    return ok_status();
  });
  if (error != executorch::runtime::Error::Ok) return error;
  return bytes;
}

}  // namespace torchtrt_ws
