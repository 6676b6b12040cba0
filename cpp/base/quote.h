#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace torchtrt_ws {

inline constexpr std::size_t kQuotedBytes = 64;  // of the value; a longer one is cut and its size is given

/// Foreign text made safe for a message: in double quotes; control bytes, quotes, backslashes and bytes outside ASCII
/// as escapes (`\n`, `\"`, `\x00`); at most `limit` bytes of it, then `... (300 bytes)`.
/// (Not called `quoted`: of a std::string, argument lookup would find std::quoted too.)
[[nodiscard]] std::string in_quotes(std::string_view text, std::size_t limit = kQuotedBytes);

/// The same without quotes, for option keys and JSON names that stand alone in a message.
[[nodiscard]] std::string escaped(std::string_view text, std::size_t limit = kQuotedBytes);

}  // namespace torchtrt_ws
