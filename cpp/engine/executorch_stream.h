#pragma once

#include <optional>

namespace torchtrt_ws {

/// The stream of this thread's innermost executorch::extension::cuda::CallerStreamGuard; nullopt without one, and where
/// ExecuTorch's library for that is not in the process: the wheels for CPUs do not have it, so it is not linked. It may
/// come at any time. Source: ExecuTorch 1.5, extension/cuda/caller_stream.h.
std::optional<void*> executorch_stream() noexcept;

}  // namespace torchtrt_ws
