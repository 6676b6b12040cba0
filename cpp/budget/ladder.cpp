#include "budget/ladder.h"

#include <algorithm>
#include <limits>

namespace torchtrt_ws {

std::optional<int64_t> next_smaller_budget(int64_t budget) noexcept {
  if (budget <= 0) return std::nullopt;
  return budget <= kSmallestRung ? 0 : budget / 2;
}

int64_t largest_budget_that_fits(const MemoryFacts& facts) noexcept {
  const int64_t available = facts.free - facts.context;
  if (facts.streamable <= available) return facts.streamable;
  // Here available < streamable, so what is left below scratch is never in the hole (resolve.h).
  return available < facts.scratch ? -1 : available - facts.scratch;
}

int64_t least_memory_that_would_do(const MemoryFacts& facts) noexcept {
  const int64_t weights = std::min(facts.scratch, facts.streamable);
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  return facts.context > kMax - weights ? kMax : facts.context + weights;
}

}  // namespace torchtrt_ws
