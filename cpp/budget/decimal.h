#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace torchtrt_ws {

/// Reads a number as it travels in options and compile specs: ASCII digits only, value in [0, 2^63).
///
/// `data` need not end in NUL and may hold any byte; it may be null when `nbytes` is 0. Leading zeros are accepted.
/// `subject` is the key that the message names.
/// Errors: BadOption for an empty value, a sign, space, suffix, embedded or trailing NUL, any other byte, or overflow.
/// Cases: tests/budget/decimal_cases.json, which Python's torchtrt_ws.budget.parse_decimal reads too.
[[nodiscard]] Result<int64_t> parse_decimal(std::string_view subject, const void* data, std::size_t nbytes);

}  // namespace torchtrt_ws
