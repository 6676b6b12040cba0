#include "delegate/tenancy.h"

#include <algorithm>

#include "delegate/live_handles.h"

namespace torchtrt_ws {
namespace {

/// Scratch that comes with a budget below all weights and goes with full residency: in a block of the program only as
/// much as makes that larger than others need it.
int64_t scratch_of(const MemoryFacts& facts) {
  if (!facts.in_block) return facts.scratch;
  return std::max<int64_t>(facts.context + facts.scratch - std::max(facts.shared, facts.context), 0);
}

void add(Tenancy& all, const std::shared_ptr<Handle>& handle, const Handle::Standing& standing) {
  const auto known = std::find_if(all.tenants.begin(), all.tenants.end(),
                                  [&](const Tenant& each) { return each.weights == handle->weights(); });
  const MemoryFacts& facts = standing.memory;
  if (known == all.tenants.end()) {
    const int64_t most = standing.taken ? standing.taken->wanted.budget : standing.budget;
    all.tenants.push_back({handle, handle->weights(), standing.taken});
    all.claims.push_back(
        {handle->priority(), standing.budget, most, facts.streamable, scratch_of(facts), 0, handle->steps()});
    return;
  }
  Claim& claim = all.claims[static_cast<size_t>(known - all.tenants.begin())];
  claim.priority = std::max(claim.priority, handle->priority());
  ++known->contexts;
  if (facts.streamable > claim.streamable) {  // of engines on the same weights one counts them (Engine::memory())
    claim.streamable = facts.streamable;
    claim.scratch = scratch_of(facts);
  }
  if (claim.steps.empty()) claim.steps = handle->steps();
}

}  // namespace

Tenancy look_at(const std::string& device, const std::set<const void*>& refused) {
  Tenancy all;
  for (const auto& handle : LiveHandles::instance().all()) {
    if (handle->report().device != device) continue;
    const auto standing = handle->standing();
    if (!standing) continue;
    all.found = true;
    all.free = standing->memory.free - standing->memory.held;
    all.engines += handle->report().device_bytes;
    if (standing->asleep || refused.count(handle->weights()) > 0) continue;
    add(all, handle, *standing);
  }
  for (size_t i = 0; i < all.tenants.size(); ++i) all.claims[i].scratch *= all.tenants[i].contexts;
  return all;
}

}  // namespace torchtrt_ws
