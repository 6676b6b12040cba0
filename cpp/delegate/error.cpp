#include "delegate/error.h"

#include "engine/log.h"
#include "torchtrt_ws/last_error.h"

namespace torchtrt_ws {
namespace {

using executorch::runtime::Error;

thread_local LastError last_failure;

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
  try {
    last_failure = {error, failure.subject, failure.found, failure.expected, failure.next_step, failure.message()};
    log_error(last_failure.message);
  } catch (...) {
    last_failure = {error, {}, {}, {}, {}, {}};  // no memory for words
  }
  return error;
}

void log_notes(const std::string& engine, const std::vector<std::string>& notes) noexcept {
  for (const std::string& note : notes) log_info("engine '" + engine + "': " + note);
}

LastError last_error() { return last_failure; }

void clear_last_error() noexcept { last_failure = {}; }

}  // namespace torchtrt_ws
