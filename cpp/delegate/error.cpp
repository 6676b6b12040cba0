#include "delegate/error.h"

#include <executorch/runtime/platform/log.h>

#include "base/quote.h"
#include "engine/log.h"
#include "torchtrt_ws/last_error.h"

namespace torchtrt_ws {
namespace {

using executorch::runtime::Error;

thread_local LastError last_failure;
thread_local const char* short_of_memory = nullptr;  // where, when that is the last failure

Failure no_memory(const char* where) {
  return {ErrorCode::DoesNotFit, where, "no host memory left", "memory for the call", "Free host memory, or load less"};
}

LastError in_words(const Failure& failure) {
  return {to_executorch(failure.code), failure.subject,  failure.found, failure.expected,
          failure.next_step,           failure.message()};
}

}  // namespace

Error to_executorch(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::BadBlob:
    case ErrorCode::BadOption:
    case ErrorCode::BadEngine:
      return Error::InvalidProgram;
    case ErrorCode::NewerSchema:
    case ErrorCode::Incompatible:
      return Error::DelegateInvalidCompatibility;
    case ErrorCode::BadArgument:
      return Error::InvalidArgument;
    case ErrorCode::NotSupported:
      return Error::NotSupported;
    case ErrorCode::DoesNotFit:
      return Error::MemoryAllocationFailed;
    case ErrorCode::WrongState:
      return Error::InvalidState;
    case ErrorCode::EngineFault:
      return Error::Internal;
  }
  return Error::Internal;
}

Error report(const Failure& failure) noexcept {
  const Error error = to_executorch(failure.code);
  short_of_memory = nullptr;
  try {
    last_failure = in_words(failure);
    log_error(last_failure.message);
  } catch (...) {
    last_failure = {error, {}, {}, {}, {}, {}};  // no memory for words
  }
  return error;
}

Error report_no_memory(const char* where) noexcept {
  last_failure = {};
  short_of_memory = where;
  ET_LOG(Error, "torchtrt_ws: %s: found no host memory left. Free host memory, or load less.", where);
  return to_executorch(ErrorCode::DoesNotFit);
}

Error report_exception(const char* where, const char* what) noexcept {
  try {
    return report({ErrorCode::EngineFault, where,
                   what == nullptr ? "an exception of unknown type" : "an exception: " + escaped(what, 200),
                   "no exception", "Report this as a bug of torchtrt-ws"});
  } catch (...) {
    return report_no_memory(where);
  }
}

void log_notes(const std::string& engine, const std::vector<std::string>& notes) noexcept {
  try {
    for (const std::string& note : notes) log_info("engine '" + engine + "': " + note);
  } catch (...) {
    ET_LOG(Info, "torchtrt_ws: warning: no host memory left for the notes of an engine");
  }
}

LastError last_error() { return short_of_memory != nullptr ? in_words(no_memory(short_of_memory)) : last_failure; }

void clear_last_error() noexcept {
  last_failure = {};
  short_of_memory = nullptr;
}

}  // namespace torchtrt_ws
