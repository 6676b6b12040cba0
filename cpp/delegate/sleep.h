#pragma once

#include "base/result.h"
#include "delegate/live_handles.h"

namespace torchtrt_ws {

/// Puts engines to sleep, all or none: when one cannot, those that this call put to sleep wake again. planning() is
/// held.
Status sleep_all(const Handles& handles);

/// Wakes engines, all or none, the most important first. planning() is held.
Status wake_all(const Handles& handles);

}  // namespace torchtrt_ws
