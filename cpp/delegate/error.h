#pragma once

#include <executorch/runtime/core/error.h>

#include <exception>
#include <new>
#include <string>
#include <vector>

#include "base/result.h"

namespace torchtrt_ws {

/// The one place where our error codes become ExecuTorch's (runtime/core/error.h).
executorch::runtime::Error to_executorch(ErrorCode code) noexcept;

/// Logs a failure, keeps its message for last_error() on this thread, and returns ExecuTorch's code for it.
executorch::runtime::Error report(const Failure& failure) noexcept;

/// Runs `body`, which returns a Status, and lets no exception out: ExecuTorch is built without them.
template <typename Body>
executorch::runtime::Error guarded(const char* where, Body&& body) noexcept {
  try {
    Status done = body();
    return done.ok() ? executorch::runtime::Error::Ok : report(done.failure());
  } catch (const std::bad_alloc&) {
    return report({ErrorCode::DoesNotFit, where, "no host memory left", "", "Free host memory, or load less"});
  } catch (const std::exception& error) {
    return report({ErrorCode::EngineFault, where, error.what(), "no exception", "Report this as a bug of torchtrt-ws"});
  } catch (...) {
    return report(
        {ErrorCode::EngineFault, where, "an exception of unknown type", "", "Report this as a bug of torchtrt-ws"});
  }
}

/// Logs notes. ExecuTorch has no warning level: all are Info, and a warning says so in its first word.
void log_notes(const std::string& engine, const std::vector<std::string>& notes) noexcept;

}  // namespace torchtrt_ws
