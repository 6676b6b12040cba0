// Registers the engine kind "tensorrt", and a CUDA allocator for ExecuTorch, while this library is loaded.

#include "engine/engine_kind.h"
#include "engine/tensorrt/device_allocator.h"
#include "engine/tensorrt/tensorrt_engine.h"

namespace torchtrt_ws::tensorrt {

[[maybe_unused]] static const bool registered = register_engine_kind("tensorrt", &TensorRTEngine::open);
[[maybe_unused]] static const bool allocates = register_device_allocator();

}  // namespace torchtrt_ws::tensorrt
