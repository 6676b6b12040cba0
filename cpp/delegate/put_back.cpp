#include "delegate/put_back.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace torchtrt_ws {
namespace {

struct Step {
  Handle* handle;
  const Handle::Previous* before;
  int64_t growth;  // bytes of device memory
};

int64_t taken(const MemoryFacts& facts, int64_t budget) {
  return budget + (budget < facts.streamable ? facts.scratch : 0);
}

Failure not_put_back(const Handle& handle, const Handle::Previous& before, const Failure& why) {
  return {why.code, "engine '" + handle.identity().name + "'",
          "no way back to its budget of " + std::to_string(before.decision.budget) + " bytes (" + why.message() + ")",
          "what was restored to fit as it did", "Free memory on the device, then give the engine a budget again"};
}

}  // namespace

BudgetsBefore budgets_of(const Handles& handles) {
  BudgetsBefore budgets;
  for (const auto& handle : handles) budgets.emplace_back(handle, handle->previous());
  return budgets;
}

Status put_back(const BudgetsBefore& before) {
  std::vector<Step> steps;
  for (const auto& [handle, previous] : before) {
    if (handle->previous() == previous) continue;
    const auto standing = handle->standing();
    if (!standing) continue;
    const MemoryFacts& facts = standing->memory;
    const int64_t growth = standing->asleep ? 0  // it is what it wakes to that changes
                                            : taken(facts, previous.decision.budget) - taken(facts, standing->budget);
    steps.push_back({handle.get(), &previous, growth});
  }
  std::sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) { return a.growth < b.growth; });
  Status all = ok_status();
  for (const Step& step : steps) {
    if (step.handle->previous() == *step.before) continue;  // by another engine on the same weights
    Status restored = step.handle->undo_change(*step.before);
    if (!restored.ok() && all.ok()) all = not_put_back(*step.handle, *step.before, restored.failure());
  }
  return all;
}

}  // namespace torchtrt_ws
