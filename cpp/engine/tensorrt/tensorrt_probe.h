#pragma once

#include "engine/engine_probe.h"

namespace torchtrt_ws::tensorrt {

/// What can be told of a plan before it is deserialized: platform, header, TensorRT's library, device and its memory.
Probe probe_tensorrt(const ProbeRequest& request);

}  // namespace torchtrt_ws::tensorrt
