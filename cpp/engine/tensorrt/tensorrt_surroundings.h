#pragma once

#include "engine/surroundings.h"

namespace torchtrt_ws::tensorrt {

/// DescribeSurroundings: loads the library that the plan asks for, as opening it would.
Surroundings tensorrt_surroundings(const uint8_t* plan, uint64_t size, int device);

}  // namespace torchtrt_ws::tensorrt
