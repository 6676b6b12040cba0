#pragma once

#include <executorch/runtime/core/error.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace torchtrt_ws {

/// The one place where our error codes become ExecuTorch's (runtime/core/error.h).
executorch::runtime::Error to_executorch(ErrorCode code) noexcept;

/// Logs a failure, keeps its message for last_error() on this thread, and returns ExecuTorch's code for it.
executorch::runtime::Error report(const Failure& failure) noexcept;

/// Logs notes. ExecuTorch has no warning level: all are Info, and a warning says so in its first word.
void log_notes(const std::string& engine, const std::vector<std::string>& notes) noexcept;

}  // namespace torchtrt_ws
