#include "budget/written.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "base/quote.h"

namespace torchtrt_ws {
namespace {

struct Unit {
  std::string_view suffix;
  int bits;
};
constexpr Unit kUnits[] = {{"", 0},     {"K", 10},   {"M", 20},   {"G", 30},  {"T", 40},
                           {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};

/// The number that `text` starts with, and what follows it; nullopt without one, or for more than 2^63-1.
struct Number {
  int64_t value;
  std::string_view rest;
};
std::optional<Number> read_digits(std::string_view text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;  // from_chars reads a minus sign
  int64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc()) return std::nullopt;
  return Number{value, text.substr(static_cast<size_t>(read.ptr - text.data()))};
}

std::optional<int64_t> read_size(std::string_view text) {
  const auto number = read_digits(text);
  if (!number) return std::nullopt;
  for (const Unit& unit : kUnits) {
    if (number->rest != unit.suffix) continue;
    if (number->value > std::numeric_limits<int64_t>::max() >> unit.bits) return std::nullopt;
    return number->value << unit.bits;
  }
  return std::nullopt;
}

std::optional<General> read_form(std::string_view text) {
  if (text == "auto") return Reserve{0};
  if (const auto reserve = name_behind("free-", text)) {
    const auto size = read_size(*reserve);
    return size ? std::optional<General>(Reserve{*size}) : std::nullopt;
  }
  if (const auto number = read_digits(text); number && number->rest == "%") {
    return number->value <= 100 ? std::optional<General>(Percent{static_cast<int>(number->value)}) : std::nullopt;
  }
  const auto size = read_size(text);
  return size ? std::optional<General>(Total{*size}) : std::nullopt;
}

}  // namespace

Result<General> read_written_budget(std::string_view subject, std::string_view text) {
  if (auto form = read_form(text)) return *std::move(form);
  return Failure{ErrorCode::BadOption, escaped(subject), text.empty() ? "an empty value" : in_quotes(text),
                 "auto, a number of bytes from 0 to 2^63-1 (1073741824, 1GiB, 512M; base 2), N% with N from 0 to 100, "
                 "or free-N with N such a number of bytes",
                 "Write one of these"};
}

}  // namespace torchtrt_ws
