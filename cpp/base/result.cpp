#include "base/result.h"

namespace torchtrt_ws {

const char* error_code_name(ErrorCode code) noexcept {
  switch (code) {  // no default: a new code without a name is a compiler warning
    case ErrorCode::BadBlob:
      return "BadBlob";
    case ErrorCode::NewerSchema:
      return "NewerSchema";
    case ErrorCode::BadOption:
      return "BadOption";
    case ErrorCode::BadArgument:
      return "BadArgument";
    case ErrorCode::BadEngine:
      return "BadEngine";
    case ErrorCode::Incompatible:
      return "Incompatible";
    case ErrorCode::NotSupported:
      return "NotSupported";
    case ErrorCode::DoesNotFit:
      return "DoesNotFit";
    case ErrorCode::EngineFault:
      return "EngineFault";
    case ErrorCode::WrongState:
      return "WrongState";
  }
  return "unknown error code";
}

std::string Failure::message() const {
  std::string text = subject;
  auto join = [&text](const char* between, const char* word, const std::string& part) {
    if (part.empty()) return;
    if (!text.empty()) text += between;
    text += word;
    text += part;
  };
  join(": ", "found ", found);
  join(found.empty() ? ": " : "; ", "expected ", expected);
  auto stop = [&text] {
    if (!text.empty() && text.back() != '.') text += '.';
  };
  stop();
  join(" ", "", next_step);
  stop();
  return text;
}

}  // namespace torchtrt_ws
