#pragma once

#include <cstdint>
#include <string>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// What decides which of several plans for one engine is opened here. Empty: it is not there, or cannot be told.
struct Surroundings {
  std::string compute_capability;  // of the device: "9.0"
  std::string runtime;             // the library that would read the plan: "tensorrt_rtx 1.6.1"
};

/// The surroundings of a plan, of which only the first bytes are read, on `device` (CUDA's index). Opens nothing.
using DescribeSurroundings = Surroundings (*)(const uint8_t* plan, uint64_t size, int device);

/// An adapter whose engines may have several plans calls this beside register_engine_kind(). kEngineAbi counts the
/// struct above, too.
TORCHTRT_WS_API bool register_surroundings(const char* name, DescribeSurroundings describe);

/// Of a registered kind; null for one whose engines have one plan.
DescribeSurroundings find_surroundings(const std::string& name);

}  // namespace torchtrt_ws
