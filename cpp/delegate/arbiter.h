#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "delegate/handle.h"

namespace torchtrt_ws {

// What torchtrt_ws/memory.h promises of all live engines, decided by budget/room_plan.h. planning() is held in each
// call. All return the bytes that the engines hold less than before.

/// make_room() of memory.h.
Result<int64_t> free_bytes_of(const std::string& device, int64_t bytes);

/// give_back(), with the sign turned.
Result<int64_t> return_to_all();

/// follow().
Result<int64_t> look_at_all_headrooms();

/// After a load, a change or a waking of `handles`: takes what is missing of their devices' headroom. Failures are
/// logged.
void keep_headroom_for(const Handles& handles) noexcept;

/// The same for a device whose headroom is new.
void keep_headroom(const std::string& device) noexcept;

}  // namespace torchtrt_ws
