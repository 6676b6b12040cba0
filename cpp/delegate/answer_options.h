#pragma once

#include <executorch/runtime/backend/options.h>
#include <executorch/runtime/core/span.h>

#include "base/result.h"
#include "delegate/live_handles.h"

namespace torchtrt_ws {

/// Fills the values of the keys that are asked (torchtrt_ws/option_keys.h, what get_option() answers). Fails with
/// BadArgument for another key, the name of no engine, or an answer over the 255 bytes of a string option: it is not
/// cut.
Status answer_options(executorch::runtime::Span<executorch::runtime::BackendOption> options, const Handles& handles);

}  // namespace torchtrt_ws
