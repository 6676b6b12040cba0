#pragma once

#include <cstdint>
#include <optional>

#include "budget/resolve.h"

namespace torchtrt_ws {

/// A budget, and who decided it.
struct Decision {
  int64_t budget;  // bytes
  Source source;
  bool automatic;  // the plan of the program's memory may move it

  bool operator==(const Decision& other) const {
    return budget == other.budget && source == other.source && automatic == other.automatic;
  }
};

/// What make_room() and the headroom took of an engine (torchtrt_ws/memory.h).
struct Taken {
  Decision wanted;              // what was there before
  std::optional<int64_t> left;  // by make_room(): follow() gives back no more than that

  bool operator==(const Taken& other) const { return wanted == other.wanted && left == other.left; }
};

}  // namespace torchtrt_ws
