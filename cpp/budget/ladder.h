#pragma once

#include <cstdint>
#include <optional>

namespace torchtrt_ws {

/// A budget this small goes straight to 0: each try may cost a context (40 to 300 ms, seen), and finer steps free
/// little.
inline constexpr int64_t kSmallestRung = int64_t{1} << 20;  // bytes

/// The budget to try after `budget` did not fit: half of it, 0 after 1 MiB or less, nullopt after 0. Bytes.
[[nodiscard]] std::optional<int64_t> next_smaller_budget(int64_t budget) noexcept;

/// What decides whether a budget fits. Bytes, none negative.
struct MemoryFacts {
  int64_t free;        ///< On the device, before budget and context.
  int64_t context;     ///< What an execution context takes, without scratch: getDeviceMemorySizeV2().
  int64_t scratch;     ///< Needed besides the budget while streaming.
  int64_t streamable;  ///< All weights that can stream.
};

/// The largest budget that fits: `streamable` if that and the context fit (no scratch is needed there), else what
/// remains after context and scratch, below `streamable`. -1 when not even 0 fits. Never overflows.
[[nodiscard]] int64_t largest_budget_that_fits(const MemoryFacts& facts) noexcept;

/// The least free memory with which some budget fits: the context, and the smaller of scratch and streamable. Bytes;
/// saturates at 2^63-1.
[[nodiscard]] int64_t least_memory_that_would_do(const MemoryFacts& facts) noexcept;

}  // namespace torchtrt_ws
