#pragma once

#include <optional>

#include "torchtrt_ws/stream.h"

namespace torchtrt_ws {

/// The stream that this thread's calls were given: a `cudaStream_t`, which may be null, the legacy default stream.
struct CallerStream {
  void* stream;
  bool may_return_early;  // the call need not wait for its work
};

/// That of this thread's innermost CallerStreamGuard; where there is none, that of ExecuTorch's own guard, under which
/// calls wait for their work; else nullopt. For adapters: it lives in this library so that all of them see the same.
TORCHTRT_WS_API std::optional<CallerStream> caller_stream() noexcept;

/// The call of this thread that ends now left its work to `event`, a `cudaEvent_t`; null: it waited.
TORCHTRT_WS_API void note_event(void* event) noexcept;

}  // namespace torchtrt_ws
