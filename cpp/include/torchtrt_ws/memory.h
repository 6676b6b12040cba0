#pragma once

#include <executorch/runtime/core/error.h>
#include <executorch/runtime/core/result.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// The memory of a process: all its engines share each device with each other and with other programs. Sizes are bytes;
/// a device is named as EngineReport::device names it, "cuda:0" or "cpu". Every call may come from any thread; those
/// that change budgets wait for a load or change in progress, and for the runs that came before them. last_error()
/// (last_error.h) has the words of a failure.

/// Who gives memory first when somebody needs it: engines of a lower priority do, and get it back last. 0 where not
/// set. Engines on the same weights are as important as the most important of them. Returns InvalidArgument for an
/// unknown id.
TORCHTRT_WS_API executorch::runtime::Error set_priority(const std::vector<uint64_t>& ids, int priority);

/// Budgets of the engine `id` at which less of them would be slower, as a measured profile tells: it is shrunk and
/// grown along these, and to 0. Without them it is in sixteenths of its weights. Returns InvalidArgument for an unknown
/// id, or for a budget below 0.
TORCHTRT_WS_API executorch::runtime::Error set_steps(uint64_t id, const std::vector<int64_t>& budgets);

/// Makes at least `bytes` of `device` free: nothing to do where they are, else the least important engines give
/// weights, explicit budgets among them, no step more than is needed. Their source is "make-room" then, and they keep
/// what they wanted for give_back(). An engine whose runtime refuses keeps its budget, and others give instead.
///
/// Returns what the engines gave: 0 or more. MemoryAllocationFailed where that many cannot be made free, and says how
/// many can: all budgets are as before. InvalidArgument for a device without engines, or fewer bytes than 0.
TORCHTRT_WS_API executorch::runtime::Result<int64_t> make_room(const std::string& device, int64_t bytes);

/// Gives back what make_room() and the headroom took, on all devices, as far as it fits: the most important engine
/// first, with the headroom left free, and 64 MiB beside automatic budgets. An engine that has all it wanted has its
/// old source too.
///
/// Returns the bytes that the engines took. What did not fit is no failure, and may be given back later; Internal when
/// an engine's runtime fails, after all others were tried.
TORCHTRT_WS_API executorch::runtime::Result<int64_t> give_back();

/// Keeps `bytes` of `device` free, for other programs and for what this one allocates elsewhere; 0 for none. Looked at
/// now, with every load, change and waking, and by follow(): where less is free the least important engines give
/// weights, explicit budgets among them, as far as they can. Automatic budgets leave it free when they are chosen.
/// Returns InvalidArgument for fewer bytes than 0, or a device without a name.
TORCHTRT_WS_API executorch::runtime::Error set_headroom(const std::string& device, int64_t bytes);

/// What set_headroom() was last called with; 0 for a device where it was not.
TORCHTRT_WS_API int64_t headroom(const std::string& device);

/// One look at all devices with a headroom: takes what is missing at once, and gives back what the headroom took (not
/// what make_room() did) slowly, half of what is 64 MiB more than the headroom, when the look before saw as much too.
/// So processes that share a device do not swing; the last 64 MiB and a step come with give_back().
///
/// Returns what the engines gave; negative: took. Internal when an engine's runtime fails, after all others were tried.
TORCHTRT_WS_API executorch::runtime::Result<int64_t> follow();

/// Puts the engines `ids` to sleep, all or none: no context, a budget of 0 and no staging memory, so that what is left
/// on the device are weights that cannot stream (EngineReport::device_bytes). Runs and changes of budget fail with
/// InvalidState until wake(); a load is not in their way. Engines on the same weights keep these until all of them
/// sleep. Those that sleep already are left alone.
///
/// Returns InvalidArgument for an unknown id; Internal or MemoryAllocationFailed when an engine's runtime refuses: all
/// are as before.
TORCHTRT_WS_API executorch::runtime::Error sleep(const std::vector<uint64_t>& ids);

/// Wakes the engines `ids`, all or none, the most important first: each has the budget and source of before. An
/// automatic budget that does not fit any more is a smaller one, as at load.
///
/// Returns InvalidArgument for an unknown id; MemoryAllocationFailed where one does not fit, Internal when an engine's
/// runtime fails: those that slept sleep on, and may be woken later.
TORCHTRT_WS_API executorch::runtime::Error wake(const std::vector<uint64_t>& ids);

/// A thread that calls follow() again and again while this lives. Its failures are in the log.
class TORCHTRT_WS_API Follower {
 public:
  /// The first call comes after `interval`, and then one after each; at least a millisecond.
  explicit Follower(std::chrono::milliseconds interval);
  /// Waits for a call of follow() in progress.
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace torchtrt_ws
