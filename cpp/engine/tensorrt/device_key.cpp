#include "engine/tensorrt/device_key.h"

#include <cuda_runtime_api.h>

#include <utility>

#include "engine/tensorrt/cuda.h"

namespace torchtrt_ws::tensorrt {

CacheKey device_key(std::string plan, const Library& library, int device) {
  cudaDeviceProp properties{};
  const cudaError_t asked = cudaGetDeviceProperties(&properties, device);
  ignore(asked);
  if (asked != cudaSuccess) properties = {};
  const std::string product = library.product == Product::TensorRTRTX ? "rtx" : "trt";
  return {std::move(plan), product + library.version_text(), properties.name, properties.major, properties.minor};
}

}  // namespace torchtrt_ws::tensorrt
