#include "budget/ladder.h"

#include <algorithm>
#include <limits>

namespace torchtrt_ws {

namespace {

using Wide = __int128;  // sums of sizes overflow 64 bits

/// What is needed besides weights.
Wide besides_weights(const MemoryFacts& facts, bool streams) noexcept {
  const Wide working = Wide{facts.context} + (streams ? facts.scratch : 0) - facts.shared;
  return std::max<Wide>(working, 0) + facts.staging;
}

int64_t saturated(Wide bytes) noexcept {
  return static_cast<int64_t>(std::min<Wide>(bytes, std::numeric_limits<int64_t>::max()));
}

}  // namespace

int64_t needed_memory(const MemoryFacts& facts, int64_t budget) noexcept {
  return saturated(besides_weights(facts, budget < facts.streamable) + budget);
}

int64_t largest_budget_that_fits(const MemoryFacts& facts) noexcept {
  if (facts.streamable + besides_weights(facts, false) <= facts.free) return facts.streamable;
  const Wide left = facts.free - besides_weights(facts, true);
  // Where scratch is shared, the rest may be enough for more weights than there are; then a byte is left out: all of
  // them need what did not fit.
  return left < 0 ? -1 : saturated(std::min<Wide>(left, std::max<Wide>(Wide{facts.streamable} - 1, 0)));
}

int64_t least_memory_that_would_do(const MemoryFacts& facts) noexcept {
  return std::min(needed_memory(facts, 0), needed_memory(facts, facts.streamable));
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
