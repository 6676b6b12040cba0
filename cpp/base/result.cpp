#include "base/result.h"

#include <cstddef>
#include <iterator>

namespace torchtrt_ws {

const char* error_code_name(ErrorCode code) noexcept {
  constexpr const char* kNames[] = {"BadBlob",      "NewerSchema",  "BadOption",  "BadArgument", "BadEngine",
                                    "Incompatible", "NotSupported", "DoesNotFit", "EngineFault", "WrongState"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(ErrorCode::WrongState) + 1);
  const auto index = static_cast<std::size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "unknown error code";
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
