#include "budget/ladder.h"

#include <algorithm>
#include <limits>

namespace torchtrt_ws {

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

std::optional<int64_t> next_smaller_budget(int64_t budget, int tries, const MemoryFacts& facts) noexcept {
  if (budget <= 0) return std::nullopt;
  const int64_t fits = std::max<int64_t>(largest_budget_that_fits(facts), 0);
  if (fits < budget) return fits;
  if (tries > 5) return 0;
  const int64_t step = std::max<int64_t>(facts.streamable / 16, 1) << std::max(tries - 1, 0);
  return std::max<int64_t>(budget - step, 0);
}

}  // namespace torchtrt_ws
