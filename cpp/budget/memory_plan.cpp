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

/// What all of them take besides streamable weights, where `resident` says which keep all.
Wide besides_weights(const std::vector<Demand>& demands, const std::vector<bool>& resident, Working working) {
  Wide sum = 0, most = 0;
  for (size_t i = 0; i < demands.size(); ++i) {
    const Wide own = Wide{demands[i].context} + (resident[i] ? 0 : demands[i].scratch);
    most = std::max(most, own);
    sum += (working == Working::Apart ? own : 0) + demands[i].staging;
  }
  return working == Working::Apart ? sum : sum + most;
}

/// What is left for the weights of those that stream.
Wide spare(Wide available, const std::vector<Demand>& demands, const std::vector<bool>& resident, Working working) {
  Wide left = available - besides_weights(demands, resident, working);
  for (size_t i = 0; i < demands.size(); ++i) left -= resident[i] ? demands[i].streamable : 0;
  return left;
}

/// Makes one engine resident that would waste memory otherwise. False: there is none.
bool settle_one(Wide available, const std::vector<Demand>& demands, std::vector<bool>& resident,
                const std::vector<int64_t>& budgets, Working working) {
  for (size_t i = 0; i < demands.size(); ++i) {
    if (resident[i] || Wide{budgets[i]} + demands[i].scratch < demands[i].streamable) continue;
    const Wide before = spare(available, demands, resident, working);
    resident[i] = true;
    // Apart, it takes no more than it would by streaming. In one block the scratch may be there for another engine.
    if (working == Working::Apart || spare(available, demands, resident, working) >= std::min<Wide>(before, 0)) {
      return true;
    }
    resident[i] = false;
  }
  return false;
}

}  // namespace

MemoryPlan plan_memory(int64_t available, const std::vector<Demand>& demands, Working working) {
  std::vector<bool> resident(demands.size(), true);
  MemoryPlan plan{std::vector<int64_t>(demands.size(), 0), 0};
  if (spare(available, demands, resident, working) < 0) resident.assign(demands.size(), false);
  do {
    const Wide left = spare(available, demands, resident, working);
    Wide streaming = 0;
    for (size_t i = 0; i < demands.size(); ++i) streaming += resident[i] ? 0 : demands[i].streamable;
    for (size_t i = 0; i < demands.size(); ++i) {
      const int64_t all = demands[i].streamable;
      plan.budgets[i] =
          resident[i] ? all
          : left <= 0 || streaming == 0
              ? 0
              : static_cast<int64_t>(std::min<Wide>(left * all / streaming, std::max<int64_t>(all - 1, 0)));
    }
  } while (settle_one(available, demands, resident, plan.budgets, working));
  Wide left = available - besides_weights(demands, resident, working);
  for (const int64_t budget : plan.budgets) left -= budget;
  plan.left = narrow(left);
  return plan;
}

bool everything_fits(int64_t available, const std::vector<Demand>& demands, Working working) {
  return spare(available, demands, std::vector<bool>(demands.size(), true), working) >= 0;
}

Demand still_to_come(int engines, int64_t streamable, const std::vector<Demand>& known, Working working) {
  if (engines <= 0 || known.empty()) return {0, 0, 0, 0};
  Wide weights = 0, scratch = 0, context = 0, staging = 0;
  for (const Demand& demand : known) {
    weights += demand.streamable;
    scratch += demand.scratch;
    context += demand.context;
    staging += demand.staging;
  }
  const auto mean_of_all = [&](Wide sum) { return narrow(sum * engines / static_cast<Wide>(known.size())); };
  const auto mean_of_one = [&](Wide sum) { return narrow(sum / static_cast<Wide>(known.size())); };
  const bool apart = working == Working::Apart;
  return {streamable < 0 ? mean_of_all(weights) : streamable, apart ? mean_of_all(scratch) : mean_of_one(scratch),
          apart ? mean_of_all(context) : mean_of_one(context), mean_of_all(staging)};
}

}  // namespace torchtrt_ws
