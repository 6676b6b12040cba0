#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace torchtrt_ws {

/// What is to stay free on one device (torchtrt_ws/memory.h).
struct Headroom {
  int64_t bytes = 0;
  bool was_calm = false;   // when it was last looked at (budget/headroom_look.h)
  bool was_short = false;  // and no engine could give more: said once
};

/// The headroom of `device`. planning() is held, also while the reference is used.
Headroom& headroom_of(const std::string& device);

/// Its bytes; 0 where none was set. planning() is held.
int64_t headroom_bytes(const std::string& device) noexcept;

/// Devices whose headroom is not 0. planning() is held.
std::vector<std::string> devices_with_headroom();

}  // namespace torchtrt_ws
