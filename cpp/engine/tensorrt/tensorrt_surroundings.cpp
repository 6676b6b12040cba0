#include "engine/tensorrt/tensorrt_surroundings.h"

#include <cuda_runtime_api.h>

#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/library.h"
#include "engine/tensorrt/plan.h"

namespace torchtrt_ws::tensorrt {

Surroundings tensorrt_surroundings(const uint8_t* plan, uint64_t size, int device) {
  Surroundings found;
  const Product product = product_of(plan, size);
  const auto library = load_library(product);
  if (library.ok()) {  // the words of a plan's `runtime` (torchtrt_ws/plan_header.py)
    found.runtime = product == Product::TensorRTRTX ? "tensorrt_rtx " : "tensorrt ";
    found.runtime += library.value()->version_text();
  }
  cudaDeviceProp properties{};
  const cudaError_t asked = cudaGetDeviceProperties(&properties, device);
  ignore(asked);
  if (asked == cudaSuccess) {
    found.compute_capability = std::to_string(properties.major) + "." + std::to_string(properties.minor);
  }
  return found;
}

}  // namespace torchtrt_ws::tensorrt
