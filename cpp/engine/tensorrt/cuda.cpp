#include "engine/tensorrt/cuda.h"

#include <algorithm>
#include <iterator>

namespace torchtrt_ws::tensorrt {
namespace {

constexpr cudaError_t kMissingSupport[] = {cudaErrorNoDevice,
                                           cudaErrorInsufficientDriver,
                                           cudaErrorStubLibrary,
                                           cudaErrorInitializationError,
                                           cudaErrorSystemDriverMismatch,
                                           cudaErrorCompatNotSupportedOnDevice,
                                           cudaErrorSystemNotReady,
                                           cudaErrorDevicesUnavailable};

/// Errors after which CUDA refuses every call of the process (cudaError_t's documentation).
constexpr cudaError_t kSticky[] = {
    cudaErrorIllegalAddress,      cudaErrorLaunchTimeout,      cudaErrorAssert,
    cudaErrorHardwareStackError,  cudaErrorIllegalInstruction, cudaErrorMisalignedAddress,
    cudaErrorInvalidAddressSpace, cudaErrorInvalidPc,          cudaErrorLaunchFailure,
    cudaErrorECCUncorrectable};

template <typename Errors>
bool is_one_of(const Errors& errors, cudaError_t error) {
  return std::find(std::begin(errors), std::end(errors), error) != std::end(errors);
}

}  // namespace

Failure cuda_failure(const std::string& subject, const char* call, cudaError_t error) {
  (void)cudaGetLastError();
  std::string found = std::string(cudaGetErrorName(error)) + " (" + cudaGetErrorString(error) + ") from " + call;
  if (error == cudaErrorMemoryAllocation) {
    return {ErrorCode::DoesNotFit, subject, std::move(found), "enough free memory on the device",
            "Free memory there, or choose a smaller budget"};
  }
  if (is_one_of(kMissingSupport, error)) {
    return {ErrorCode::NotSupported, subject, std::move(found),
            "an NVIDIA GPU and a driver for CUDA " + std::to_string(CUDART_VERSION / 1000) + "." +
                std::to_string(CUDART_VERSION / 10 % 100),
            "Install or update the NVIDIA driver (nvidia-smi shows it), or run on a machine that has a GPU"};
  }
  return {ErrorCode::EngineFault, subject, std::move(found), "cudaSuccess",
          is_one_of(kSticky, error)
              ? "The GPU gave up this process's work: restart the process; compute-sanitizer finds the cause"
              : "If it is not this program's own work on the device, report it"};
}

cudaError_t error_since(cudaError_t before) noexcept {
  cudaError_t error = before == cudaSuccess ? cudaPeekAtLastError() : cudaSuccess;
  if (error == cudaSuccess) {
    size_t free = 0;
    size_t total = 0;
    error = cudaMemGetInfo(&free, &total);
  }
  ignore(error);
  return error;
}

Status check_device(const std::string& subject, int device) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return cuda_failure(subject, "cudaGetDeviceCount", error);
  if (device >= 0 && device < count) return ok_status();
  return Failure{ErrorCode::NotSupported, subject, "device " + std::to_string(device),
                 count == 1 ? "device 0, the only one here" : "a device from 0 to " + std::to_string(count - 1),
                 "Choose one with the load-time option device_id"};
}

Status Buffer::reserve(const std::string& subject, size_t bytes) {
  if (holds(bytes)) return ok_status();
  free();
  void* data = nullptr;
  const bool device = kind_ == Kind::Device;
  const cudaError_t error = device ? cudaMalloc(&data, bytes) : cudaMallocHost(&data, bytes);
  if (error != cudaSuccess) return cuda_failure(subject, device ? "cudaMalloc" : "cudaMallocHost", error);
  data_ = static_cast<char*>(data);
  size_ = bytes;
  return ok_status();
}

void Buffer::free() noexcept {
  if (data_ != nullptr) ignore(kind_ == Kind::Device ? cudaFree(data_) : cudaFreeHost(data_));
  data_ = nullptr;
  size_ = 0;
}

}  // namespace torchtrt_ws::tensorrt
