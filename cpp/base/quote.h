#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace torchtrt_ws {

inline constexpr std::size_t kQuotedBytes = 64;  // of the value; a longer one is cut and its size is given

/// Foreign text made safe for a message: in double quotes; control bytes, quotes, backslashes and bytes outside ASCII
/// as escapes (`\n`, `\"`, `\x00`); at most `limit` bytes of it, then `... (300 bytes)`.
/// In a file that includes <iomanip>, write torchtrt_ws::quoted: argument lookup finds std::quoted too.
[[nodiscard]] std::string quoted(std::string_view text, std::size_t limit = kQuotedBytes);

/// The same without quotes, for option keys and JSON names that stand alone in a message.
[[nodiscard]] std::string escaped(std::string_view text, std::size_t limit = kQuotedBytes);

}  // namespace torchtrt_ws
