#pragma once

#include <cstdint>
#include <optional>

namespace torchtrt_ws {

/// What decides whether a budget fits. Bytes, none negative.
struct MemoryFacts {
  int64_t free;            ///< On the device, before budget and context: with what the engine holds of these itself.
  int64_t context;         ///< What an execution context takes, without scratch.
  int64_t scratch;         ///< Needed besides the budget while streaming.
  int64_t streamable;      ///< All weights that can stream.
  int64_t held = 0;        ///< Of `free`, what the engine holds now.
  int64_t staging = 0;     ///< What tensors of the next calls may take.
  bool in_block = false;   ///< Context and scratch lie in a block of the program, as large as its largest need.
  int64_t shared = 0;      ///< Of the block, what other engines need anyway.
  int64_t held_block = 0;  ///< Of `held`, what the block would shrink by.
};

/// What an engine takes of the device at `budget`: weights, context, scratch and staging, less what of them others have
/// paid for. Bytes; saturates at 2^63-1.
[[nodiscard]] int64_t needed_memory(const MemoryFacts& facts, int64_t budget) noexcept;

/// The largest budget that fits: `streamable` if that and the context fit (no scratch is needed there), else what
/// remains after context and scratch, below `streamable`. -1 when not even 0 fits. Never overflows, whatever is free.
[[nodiscard]] int64_t largest_budget_that_fits(const MemoryFacts& facts) noexcept;

/// The least free memory with which some budget fits: the context, and the smaller of scratch and streamable. Bytes;
/// saturates at 2^63-1.
[[nodiscard]] int64_t least_memory_that_would_do(const MemoryFacts& facts) noexcept;

/// The budget to try after `budget` did not fit although the facts may say it does: the largest that fits, if that is
/// smaller, else one step less; 0 at last, and nullopt after 0. `tries`: budgets that did not fit so far, 1 or more.
/// Steps are a sixteenth of the weights and double each time, so that the first ones cost few bytes and the last ones
/// few tries: each may cost a context (40 to 300 ms, seen).
[[nodiscard]] std::optional<int64_t> next_smaller_budget(int64_t budget, int tries, const MemoryFacts& facts) noexcept;

}  // namespace torchtrt_ws
