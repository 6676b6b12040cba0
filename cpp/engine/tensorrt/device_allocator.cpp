#include "engine/tensorrt/device_allocator.h"

#include <cuda_runtime_api.h>
#include <executorch/runtime/core/device_allocator.h>

#include "engine/caller_stream.h"
#include "engine/log.h"
#include "engine/tensorrt/cuda.h"

namespace torchtrt_ws::tensorrt {
namespace {

using executorch::runtime::DeviceAllocator;
using executorch::runtime::Error;
using executorch::runtime::etensor::DeviceIndex;
using executorch::runtime::etensor::DeviceType;

constexpr size_t kCudaAlignment = 256;  // of cudaMalloc (CUDA C++ Programming Guide, "Device Memory Accesses")

Error to_error(const char* call, cudaError_t error) {
  if (error == cudaSuccess) return Error::Ok;
  const Failure failure = cuda_failure("device memory", call, error);
  log_error(failure.message());
  if (failure.code == ErrorCode::DoesNotFit) return Error::MemoryAllocationFailed;
  return failure.code == ErrorCode::NotSupported ? Error::NotSupported : Error::Internal;
}

/// Copies behind what the caller's stream, or else the legacy default stream, has to do, and waits.
Error copy(void* to, const void* from, size_t bytes, cudaMemcpyKind direction, DeviceIndex index) {
  if (bytes == 0) return Error::Ok;
  const DeviceGuard guard(index);
  const auto stream = static_cast<cudaStream_t>(caller_stream().value_or(nullptr));
  cudaError_t error = guard.error();
  if (error == cudaSuccess) error = cudaMemcpyAsync(to, from, bytes, direction, stream);
  if (error == cudaSuccess) error = cudaStreamSynchronize(stream);
  return to_error("cudaMemcpyAsync", error);
}

/// Keeps nothing of its own: CUDA's calls are thread-safe.
class CudaAllocator final : public DeviceAllocator {
 public:
  executorch::runtime::Result<void*> allocate(size_t nbytes, DeviceIndex index, size_t alignment) override {
    if (alignment > kCudaAlignment) return Error::InvalidArgument;
    const DeviceGuard guard(index);
    void* memory = nullptr;
    cudaError_t error = guard.error();
    if (error == cudaSuccess) error = cudaMalloc(&memory, nbytes);
    if (error != cudaSuccess) return to_error("cudaMalloc", error);
    return memory;
  }

  void deallocate(void* memory, DeviceIndex index) override {
    const DeviceGuard guard(index);
    ignore(cudaFree(memory));
  }

  Error copy_host_to_device(void* to, const void* from, size_t nbytes, DeviceIndex index) override {
    return copy(to, from, nbytes, cudaMemcpyHostToDevice, index);
  }

  Error copy_device_to_host(void* to, const void* from, size_t nbytes, DeviceIndex index) override {
    return copy(to, from, nbytes, cudaMemcpyDeviceToHost, index);
  }

  DeviceType device_type() const override { return DeviceType::CUDA; }
};

}  // namespace

bool register_device_allocator() {
  if (executorch::runtime::get_device_allocator(DeviceType::CUDA) != nullptr) return false;
  static auto* allocator = new CudaAllocator;  // leaked: ExecuTorch keeps it until the process ends
  executorch::runtime::register_device_allocator(allocator);
  return true;
}

}  // namespace torchtrt_ws::tensorrt
