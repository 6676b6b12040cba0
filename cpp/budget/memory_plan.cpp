#include "budget/memory_plan.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace torchtrt_ws {
namespace {

using Wide = __int128;  // sums and products of sizes overflow 64 bits

int64_t narrow(Wide value) {
  constexpr Wide kLeast = std::numeric_limits<int64_t>::min(), kMost = std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(std::clamp(value, kLeast, kMost));
}

/// What an engine takes in the end.
Wide taken(const Demand& demand, int64_t budget) {
  return Wide{demand.always} + budget + (budget < demand.streamable ? demand.scratch : 0);
}

}  // namespace

MemoryPlan plan_memory(int64_t available, const std::vector<Demand>& demands) {
  std::vector<bool> resident(demands.size());
  Wide all = 0;
  for (const Demand& demand : demands) all += Wide{demand.always} + demand.streamable;
  MemoryPlan plan{std::vector<int64_t>(demands.size(), 0), 0};
  for (bool settled = false; !settled;) {
    Wide spare = available, streaming = 0;
    for (size_t i = 0; i < demands.size(); ++i) {
      resident[i] = resident[i] || all <= available || demands[i].scratch >= demands[i].streamable;
      spare -= taken(demands[i], resident[i] ? demands[i].streamable : 0);
      if (!resident[i]) streaming += demands[i].streamable;
    }
    settled = true;
    for (size_t i = 0; i < demands.size(); ++i) {
      const Demand& demand = demands[i];
      if (resident[i]) {
        plan.budgets[i] = demand.streamable;
        continue;
      }
      plan.budgets[i] =
          spare <= 0 ? 0
                     : static_cast<int64_t>(std::min<Wide>(spare * demand.streamable / streaming, demand.streamable));
      // Becoming resident takes no more than streaming would, so the others lose nothing by it.
      if (Wide{plan.budgets[i]} + demand.scratch < demand.streamable) continue;
      resident[i] = true;
      settled = false;
    }
  }
  Wide left = available;
  for (size_t i = 0; i < demands.size(); ++i) left -= taken(demands[i], plan.budgets[i]);
  plan.left = narrow(left);
  return plan;
}

Demand still_to_come(int engines, int64_t streamable, const std::vector<Demand>& known) {
  if (engines <= 0 || known.empty()) return {0, 0, 0};
  Wide weights = 0, scratch = 0, always = 0;
  for (const Demand& demand : known) {
    weights += demand.streamable;
    scratch += demand.scratch;
    always += demand.always;
  }
  const auto mean_of_all = [&](Wide sum) { return narrow(sum * engines / static_cast<Wide>(known.size())); };
  return {streamable < 0 ? mean_of_all(weights) : streamable, mean_of_all(scratch), mean_of_all(always)};
}

}  // namespace torchtrt_ws
