#pragma once

#include <cstdint>
#include <vector>

namespace torchtrt_ws {

/// What one engine takes of a device. Bytes, none negative.
struct Demand {
  int64_t streamable;   ///< All weights that can stream.
  int64_t scratch;      ///< Needed beside a budget below `streamable`.
  int64_t context;      ///< Of the execution context, without scratch.
  int64_t staging = 0;  ///< For tensors, whatever the budget.
};

/// How contexts and scratch of several engines lie.
enum class Working {
  Apart,      ///< Each has its own.
  InOneBlock  ///< In one block, as large as the largest of them needs.
};

/// How memory is shared by several engines. Bytes.
struct MemoryPlan {
  std::vector<int64_t> budgets;  ///< One for each demand, in order.
  int64_t left;                  ///< Of what was available; negative: so much is missing although all budgets are 0.
};

/// Splits `available` bytes over engines that live side by side. Pure.
///
/// Each engine is given what it needs besides weights, as `working` says; what remains goes to their weights in
/// proportion to `streamable`, and what one has no use for goes to the others. An engine that would stream although all
/// its weights take no more than its budget and scratch (the hole: resolve.h) becomes resident instead, in one block
/// where the others leave room. All together never exceeds `available`, unless that is too little for budgets of 0.
[[nodiscard]] MemoryPlan plan_memory(int64_t available, const std::vector<Demand>& demands,
                                     Working working = Working::Apart);

/// Whether all weights of all engines can be kept.
[[nodiscard]] bool everything_fits(int64_t available, const std::vector<Demand>& demands, Working working);

/// The engines of a program that are not loaded yet, as one demand. `known` are those that are, which is what is known
/// of the others: what a file does not record is taken to be their mean. `streamable`: recorded for all of them
/// together, negative where it is not.
[[nodiscard]] Demand still_to_come(int engines, int64_t streamable, const std::vector<Demand>& known,
                                   Working working = Working::Apart);

}  // namespace torchtrt_ws
