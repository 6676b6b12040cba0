#pragma once

#include <cstdint>
#include <vector>

namespace torchtrt_ws {

/// One copy of weights on a device, from which the process may take memory, or to which it gives back what it took.
/// Bytes, none negative.
struct Claim {
  int priority;                     ///< Lower ones give first, and get back last.
  int64_t now;                      ///< Its budget.
  int64_t most;                     ///< What plan_return() may let it grow to.
  int64_t streamable;               ///< All weights that can stream.
  int64_t scratch;                  ///< Needed beside a budget below `streamable`, by all its contexts together.
  int64_t margin = 0;               ///< What plan_return() leaves free beside it.
  std::vector<int64_t> steps = {};  ///< Budgets that are worth taking, in any order; none: sixteenths of `streamable`.
};

/// New budgets, and what they change.
struct RoomPlan {
  std::vector<int64_t> budgets;  ///< One for each claim, in order.
  int64_t freed;                 ///< Bytes of the device; negative: taken.
};

/// Takes at least `bytes` from the claims, or all they can give where that is less. Pure.
///
/// The most important claim gives only what all others cannot, then the next one, so that nobody gives a step more than
/// is needed. Of one priority those that stream already give first, and of these the one that can give the most:
/// streaming costs the same time for each byte, whoever streams it, but each engine that begins to stream needs
/// scratch, and each that changes a new context. A budget in the hole (resolve.h) frees nothing and is never chosen; a
/// step is one of `steps`, or 0.
[[nodiscard]] RoomPlan plan_room(int64_t bytes, const std::vector<Claim>& claims);

/// Gives at most `bytes` to the claims, whole steps up to `most` and that itself. Pure. The most important comes first;
/// of one priority the one that lacks the least, so that few engines change for many that are whole again.
[[nodiscard]] RoomPlan plan_return(int64_t bytes, const std::vector<Claim>& claims);

}  // namespace torchtrt_ws
