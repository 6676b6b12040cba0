#include "budget/decimal.h"

#include <charconv>
#include <limits>
#include <system_error>

#include "base/quote.h"

namespace torchtrt_ws {

Result<int64_t> parse_decimal(std::string_view subject, const void* data, std::size_t nbytes) {
  const auto* begin = static_cast<const char*>(data);
  const std::string_view text = nbytes == 0 ? std::string_view() : std::string_view(begin, nbytes);
  auto refuse = [&](std::string found) -> Result<int64_t> {
    return Failure{
        ErrorCode::BadOption, escaped(subject), std::move(found), "decimal digits only, 0 to 9223372036854775807",
        "Write the number of bytes as digits: 1 GiB is 1073741824; units, signs and spaces are not read here"};
  };
  if (text.empty()) return refuse("an empty value");

  // Unsigned: into a signed type std::from_chars takes a minus, and reads "-0" as 0.
  uint64_t value = 0;
  const char* end = begin + nbytes;
  const auto [stop, error] = std::from_chars(begin, end, value);
  const bool overflow =
      error == std::errc::result_out_of_range || value > uint64_t{std::numeric_limits<int64_t>::max()};
  if ((error != std::errc() && !overflow) || stop != end) return refuse(in_quotes(text));
  if (overflow) return refuse(in_quotes(text) + ", which is too large");
  return static_cast<int64_t>(value);
}

}  // namespace torchtrt_ws
