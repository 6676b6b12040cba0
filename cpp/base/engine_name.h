#pragma once

#include <cstddef>
#include <string_view>

namespace torchtrt_ws {

/// The longest engine name. ExecuTorch's option keys hold 63 characters (runtime/backend/options.h, kMaxOptionKeyLength
/// 64 with the NUL), and "weight_streaming_budget." takes 24 of them.
inline constexpr std::size_t kMaxEngineName = 39;
inline constexpr std::string_view kEngineNames = "1 to 39 of A-Z a-z 0-9 _ . -";  // for messages

/// True if `name` matches [A-Za-z0-9_.-]{1,39}.
[[nodiscard]] constexpr bool is_engine_name(std::string_view name) noexcept {
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  return !name.empty() && name.size() <= kMaxEngineName && name.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace torchtrt_ws
