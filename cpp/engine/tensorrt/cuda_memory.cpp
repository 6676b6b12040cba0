#include "engine/tensorrt/cuda_memory.h"

#include <cuda_runtime_api.h>

#include <string>

#include "engine/caller_stream.h"
#include "engine/device_memory.h"
#include "engine/tensorrt/cuda.h"

namespace torchtrt_ws::tensorrt {
namespace {

constexpr size_t kCudaAlignment = 256;  // of cudaMalloc (CUDA C++ Programming Guide, "Device Memory Accesses")
constexpr char kSubject[] = "device memory";

Status copy(void* to, const void* from, size_t nbytes, cudaMemcpyKind direction, int device) {
  if (nbytes == 0) return ok_status();
  const DeviceGuard guard(device);
  const auto callers = caller_stream();
  const auto stream = callers ? static_cast<cudaStream_t>(callers->stream) : nullptr;
  cudaError_t error = guard.error();
  if (error == cudaSuccess) error = cudaMemcpyAsync(to, from, nbytes, direction, stream);
  if (error == cudaSuccess) error = cudaStreamSynchronize(stream);
  return check_cuda(kSubject, "cudaMemcpyAsync", error);
}

/// Keeps nothing of its own: CUDA's calls are thread-safe.
class CudaMemory final : public DeviceMemory {
 public:
  Result<void*> allocate(size_t nbytes, int device, size_t alignment) override {
    if (alignment > kCudaAlignment) {
      return Failure{ErrorCode::BadArgument, kSubject, "an alignment of " + std::to_string(alignment) + " bytes",
                     "at most " + std::to_string(kCudaAlignment), "Plan the program's memory with a smaller one"};
    }
    const DeviceGuard guard(device);
    void* memory = nullptr;
    cudaError_t error = guard.error();
    if (error == cudaSuccess) error = cudaMalloc(&memory, nbytes);
    Status allocated = check_cuda(kSubject, "cudaMalloc", error);
    if (!allocated.ok()) return std::move(allocated).failure();
    return memory;
  }

  void deallocate(void* memory, int device) noexcept override {
    const DeviceGuard guard(device);
    ignore(cudaFree(memory));
  }

  Status copy_to_device(void* to, const void* from, size_t nbytes, int device) override {
    return copy(to, from, nbytes, cudaMemcpyHostToDevice, device);
  }

  Status copy_to_host(void* to, const void* from, size_t nbytes, int device) override {
    return copy(to, from, nbytes, cudaMemcpyDeviceToHost, device);
  }
};

}  // namespace

bool provide_cuda_memory() {
  static auto* memory = new CudaMemory;  // leaked: ExecuTorch's allocator has it until the process ends
  provide_device_memory(memory);
  return true;
}

}  // namespace torchtrt_ws::tensorrt
