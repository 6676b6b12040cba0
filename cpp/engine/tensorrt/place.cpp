#include "engine/tensorrt/place.h"

#include <cuda_runtime_api.h>

#include <cstdint>

#include "base/quote.h"
#include "engine/tensorrt/cuda.h"

namespace torchtrt_ws::tensorrt {

Result<Placer> Placer::of(const std::string& subject, int device) {
  int reads = 0;
  Status asked = check_cuda(subject, "cudaDeviceGetAttribute",
                            cudaDeviceGetAttribute(&reads, cudaDevAttrPageableMemoryAccess, device));
  if (!asked.ok()) return std::move(asked).failure();
  return Placer(device, reads != 0);
}

Result<Place> Placer::operator()(const std::string& tensor, const void* pointer) const {
  cudaPointerAttributes attributes{};
  // Host memory that CUDA does not know is no error since CUDA 11 (cudaMemoryTypeUnregistered).
  const cudaError_t error = cudaPointerGetAttributes(&attributes, pointer);
  if (error != cudaSuccess) return cuda_failure("tensor " + in_quotes(tensor), "cudaPointerGetAttributes", error);
  const bool aligned = reinterpret_cast<uintptr_t>(pointer) % kAddressAlignment == 0;
  if (attributes.type == cudaMemoryTypeManaged) return aligned ? Place::Bound : Place::DeviceStaged;
  if (attributes.type != cudaMemoryTypeDevice) {
    return aligned && reads_host_memory_ ? Place::HostBound : Place::HostStaged;
  }
  if (attributes.device == device_) return aligned ? Place::Bound : Place::DeviceStaged;
  return Failure{ErrorCode::BadArgument, "tensor " + in_quotes(tensor),
                 "memory of device " + std::to_string(attributes.device),
                 "memory of device " + std::to_string(device_) + ", where the engine is, or of the host",
                 "Copy the tensor there, or load the program with device_id " + std::to_string(attributes.device)};
}

}  // namespace torchtrt_ws::tensorrt
