#include "budget/room_plan.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <numeric>

namespace torchtrt_ws {
namespace {

using Wide = __int128;  // sums of sizes overflow 64 bits

constexpr int64_t kSteps = 16;

int64_t narrow(Wide value) {
  constexpr Wide kLeast = std::numeric_limits<int64_t>::min(), kMost = std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(std::clamp(value, kLeast, kMost));
}

/// What the weights take of the device at `budget`.
Wide taken(const Claim& claim, int64_t budget) {
  return Wide{budget} + (budget < claim.streamable ? claim.scratch : 0);
}

/// Budgets from `low` to `high`, these two and the steps between them, largest first.
std::vector<int64_t> choices(const Claim& claim, int64_t low, int64_t high) {
  std::vector<int64_t> all = claim.steps;
  if (all.empty()) {
    for (int64_t i = 1; i < kSteps; ++i) all.push_back(narrow(Wide{claim.streamable} * i / kSteps));
  }
  all.push_back(low);
  all.push_back(high);
  const auto outside = [low, high](int64_t budget) { return budget < low || budget > high; };
  all.erase(std::remove_if(all.begin(), all.end(), outside), all.end());
  std::sort(all.begin(), all.end(), std::greater<>());
  return all;
}

/// The largest budget that frees `bytes`; where none does, the largest of those that free the most.
int64_t shrunk(const Claim& claim, Wide bytes) {
  int64_t best = claim.now;
  for (const int64_t budget : choices(claim, 0, claim.now)) {
    if (taken(claim, claim.now) - taken(claim, best) >= bytes) break;
    if (taken(claim, budget) < taken(claim, best)) best = budget;
  }
  return best;
}

Wide freed(const Claim& claim, int64_t budget) { return taken(claim, claim.now) - taken(claim, budget); }

Wide most_freed(const Claim& claim) {
  return freed(claim, shrunk(claim, Wide{std::numeric_limits<int64_t>::max()} * 2));
}

/// Positions of the claims: the most important first, of one priority those that `comes_first`.
template <typename ComesFirst>
std::vector<size_t> by_importance(const std::vector<Claim>& claims, ComesFirst comes_first) {
  std::vector<size_t> order(claims.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (claims[a].priority != claims[b].priority) return claims[a].priority > claims[b].priority;
    if (comes_first(claims[a], claims[b])) return true;
    return !comes_first(claims[b], claims[a]) && a < b;
  });
  return order;
}

RoomPlan unchanged(const std::vector<Claim>& claims) {
  RoomPlan plan{{}, 0};
  for (const Claim& claim : claims) plan.budgets.push_back(claim.now);
  return plan;
}

}  // namespace

RoomPlan plan_room(int64_t bytes, const std::vector<Claim>& claims) {
  RoomPlan plan = unchanged(claims);
  const auto gives_later = [](const Claim& a, const Claim& b) {
    const bool a_streams = a.now < a.streamable, b_streams = b.now < b.streamable;
    return a_streams != b_streams ? b_streams : most_freed(a) < most_freed(b);
  };
  Wide others = 0;  // what those that come later can give
  for (const Claim& claim : claims) others += most_freed(claim);
  Wide sum = 0;
  for (const size_t i : by_importance(claims, gives_later)) {
    others -= most_freed(claims[i]);
    plan.budgets[i] = shrunk(claims[i], bytes - sum - others);
    sum += freed(claims[i], plan.budgets[i]);
  }
  plan.freed = narrow(sum);
  return plan;
}

RoomPlan plan_return(int64_t bytes, const std::vector<Claim>& claims) {
  RoomPlan plan = unchanged(claims);
  const auto lacks_less = [](const Claim& a, const Claim& b) { return a.most - a.now < b.most - b.now; };
  Wide left = bytes;
  for (const size_t i : by_importance(claims, lacks_less)) {
    const Claim& claim = claims[i];
    for (const int64_t budget : choices(claim, claim.now, std::max(claim.now, claim.most))) {
      const Wide cost = -freed(claim, budget);
      if (budget == claim.now || (cost > 0 && cost > left - claim.margin)) continue;
      plan.budgets[i] = budget;
      left -= cost;
      break;
    }
  }
  plan.freed = narrow(left - bytes);
  return plan;
}

}  // namespace torchtrt_ws
