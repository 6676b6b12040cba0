// Registers the engine kind "tensorrt", and provides CUDA memory, while this library is loaded.

#include "engine/engine_kind.h"
#include "engine/tensorrt/cuda_memory.h"
#include "engine/tensorrt/tensorrt_engine.h"
#include "engine/tensorrt/tensorrt_probe.h"
#include "engine/tensorrt/tensorrt_surroundings.h"
#include "engine/tensorrt/tensorrt_survey.h"

namespace torchtrt_ws::tensorrt {

[[maybe_unused]] static const bool registered = register_engine_kind("tensorrt", &TensorRTEngine::open);
[[maybe_unused]] static const bool probes = register_engine_probe("tensorrt", &probe_tensorrt);
[[maybe_unused]] static const bool describes = register_surroundings("tensorrt", &tensorrt_surroundings);
[[maybe_unused]] static const bool surveys = register_adapter_survey("tensorrt", &survey_tensorrt);
[[maybe_unused]] static const bool allocates = provide_cuda_memory();

}  // namespace torchtrt_ws::tensorrt
