#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "budget/room_plan.h"
#include "delegate/handle.h"

namespace torchtrt_ws {

/// One copy of weights: the engine that counts and changes them, and what was taken of them.
struct Tenant {
  std::shared_ptr<Handle> handle;
  const void* weights;
  std::optional<Taken> taken;
  int contexts = 1;
};

/// A device with the engines on it that may give memory, or get it back.
struct Tenancy {
  bool found = false;   // any engine at all; where there is none, nothing below is known
  int64_t free = 0;     // bytes, now
  int64_t engines = 0;  // bytes that all engines hold
  std::vector<Tenant> tenants;
  std::vector<Claim> claims;  // one for each
};

/// What is on `device`, without the engines on weights that `refused` to change: they keep what they have. Waits for
/// the calls that its engines are busy with. planning() is held.
Tenancy look_at(const std::string& device, const std::set<const void*>& refused = {});

}  // namespace torchtrt_ws
