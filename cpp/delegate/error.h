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

/// The same for host memory that ran out. Allocates nothing: last_error() makes the words when it is asked. `where` is
/// a literal.
executorch::runtime::Error report_no_memory(const char* where) noexcept;

/// The same for an exception that nobody expected; `what` may be null.
executorch::runtime::Error report_exception(const char* where, const char* what) noexcept;

/// Runs `body`, which returns a Status, and lets no exception out: ExecuTorch is built without them. `where` is a
/// literal.
template <typename Body>
executorch::runtime::Error guarded(const char* where, Body&& body) noexcept {
  try {
    Status done = body();
    return done.ok() ? executorch::runtime::Error::Ok : report(done.failure());
  } catch (const std::bad_alloc&) {
    return report_no_memory(where);
  } catch (const std::exception& error) {
    return report_exception(where, error.what());
  } catch (...) {
    return report_exception(where, nullptr);
  }
}

/// Logs notes; without memory for that they are lost. ExecuTorch has no warning level: all are Info, and a warning says
/// so in its first word.
void log_notes(const std::string& engine, const std::vector<std::string>& notes) noexcept;

}  // namespace torchtrt_ws
