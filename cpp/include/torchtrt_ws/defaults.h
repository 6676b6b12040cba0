#pragma once

#include <executorch/runtime/backend/options.h>
#include <executorch/runtime/core/error.h>
#include <executorch/runtime/core/span.h>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// What loads of this process do from now on where their own options say nothing; for loaders that cannot pass any.
/// `options` are those of load time (LoadOptions::view(), option_keys.h), but for those of one engine and the number of
/// contexts. They replace what was said before; without any, nothing is said.
///
/// A budget among them is weaker than any that is given at load, and stronger than the environment's (kBudgetVariable)
/// and the one in the program. Programs that are loaded already keep theirs; executorch::runtime::set_option() is for
/// both: it changes them, and keeps what it was given for those to come.
///
/// Returns InvalidProgram for options that cannot be read, or belong to one load; the defaults stay as they were.
/// last_error() (last_error.h) has the words.
TORCHTRT_WS_API executorch::runtime::Error set_defaults(
    executorch::runtime::Span<const executorch::runtime::BackendOption> options);

}  // namespace torchtrt_ws
