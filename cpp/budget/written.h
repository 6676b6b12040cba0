#pragma once

#include <string_view>

#include "base/result.h"
#include "budget/request.h"

namespace torchtrt_ws {

/// Reads a budget as people write it, for the whole program: "auto" (Reserve of 0), "1073741824", "1GiB" or "512M"
/// (Total), "50%" (Percent), "free-2GiB" (Reserve). Suffixes are base 2: K, M, G, T and KiB, MiB, GiB, TiB.
///
/// `subject` is what the message names. Errors: BadOption for anything else, and for 2^63 bytes or more.
/// Cases: tests/budget/written_cases.json, which Python's torchtrt_ws.budget.parse reads too.
[[nodiscard]] Result<General> read_written_budget(std::string_view subject, std::string_view text);

}  // namespace torchtrt_ws
