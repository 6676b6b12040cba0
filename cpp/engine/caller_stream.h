#pragma once

#include <optional>

#include "torchtrt_ws/stream.h"

namespace torchtrt_ws {

/// The stream of this thread's innermost CallerStreamGuard (a `cudaStream_t`; may be null, the legacy default stream);
/// nullopt when there is no guard. For adapters: it lives in this library so that all of them see the same one.
TORCHTRT_WS_API std::optional<void*> caller_stream() noexcept;

}  // namespace torchtrt_ws
