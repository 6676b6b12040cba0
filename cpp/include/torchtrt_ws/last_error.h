#pragma once

#include <executorch/runtime/core/error.h>

#include <string>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// A failure in the words of the delegate; ExecuTorch itself only carries the code.
struct LastError {
  executorch::runtime::Error error = executorch::runtime::Error::Ok;
  std::string subject;    // the option, file, tensor or engine it is about
  std::string found;      // what was there
  std::string expected;   // what is accepted
  std::string next_step;  // what to do now
  std::string message;    // all four as one sentence
};

/// The last failure that the delegate reported on this thread; `error` is Ok when there was none since
/// clear_last_error(). The texts are empty when there was no memory for them.
TORCHTRT_WS_API LastError last_error();

/// Forgets this thread's last failure. Call it before what may fail: a success does not clear it.
TORCHTRT_WS_API void clear_last_error() noexcept;

}  // namespace torchtrt_ws
