// parse_decimal() on any bytes, against the rule spelt out: digits only, and a value below 2^63.
#include "budget/decimal.h"

#include "fuzz/check.h"

using torchtrt_ws::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  constexpr uint64_t kLimit = uint64_t{1} << 63;
  bool right = size > 0;
  uint64_t value = 0;
  for (std::size_t i = 0; i < size && right; ++i) {
    const unsigned digit = data[i] - unsigned{'0'};
    right = digit <= 9 && value <= (kLimit - 1 - digit) / 10;
    value = right ? value * 10 + digit : 0;
  }
  const auto result = torchtrt_ws::parse_decimal("a key", data, size);
  check(result.ok() == right, "digits of a value below 2^63 are read, and nothing else");
  if (right) {
    check(static_cast<uint64_t>(result.value()) == value, "the value is what its digits say");
  } else {
    torchtrt_ws::fuzz::check_text(result.failure().message());
  }
  return 0;
}
