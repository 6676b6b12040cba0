#include "delegate/headroom.h"

#include <map>

namespace torchtrt_ws {
namespace {

std::map<std::string, Headroom>& all() {
  static auto* headrooms =
      new std::map<std::string, Headroom>;  // leaked: programs may be loaded while the process ends
  return *headrooms;
}

}  // namespace

Headroom& headroom_of(const std::string& device) { return all()[device]; }

int64_t headroom_bytes(const std::string& device) noexcept {
  const auto found = all().find(device);
  return found == all().end() ? 0 : found->second.bytes;
}

std::vector<std::string> devices_with_headroom() {
  std::vector<std::string> devices;
  for (const auto& [device, headroom] : all()) {
    if (headroom.bytes > 0) devices.push_back(device);
  }
  return devices;
}

}  // namespace torchtrt_ws
