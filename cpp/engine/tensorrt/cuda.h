#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

#include "base/result.h"

namespace torchtrt_ws::tensorrt {

/// For calls whose failure changes nothing: CUDA's last error is not left for the program's own checks to find.
inline void ignore(cudaError_t error) noexcept {
  if (error != cudaSuccess) (void)cudaGetLastError();
}

/// What a failed CUDA call means: DoesNotFit when memory ran out, NotSupported when there is no device or driver, else
/// EngineFault. `call` is the function's name, `subject` the engine. Clears CUDA's last error, so that the program's
/// own checks do not find it.
Failure cuda_failure(const std::string& subject, const char* call, cudaError_t error);

/// ok, or cuda_failure().
inline Status check_cuda(const std::string& subject, const char* call, cudaError_t error) {
  if (error == cudaSuccess) return ok_status();
  return cuda_failure(subject, call, error);
}

/// The error that CUDA has now and had not `before` (what cudaPeekAtLastError() said then), or what a device that is
/// lost answers to a question: why a library that gives no reason failed. cudaSuccess when it is not CUDA. Clears it.
cudaError_t error_since(cudaError_t before) noexcept;

/// Whether `device` exists. Fails with NotSupported (no driver, no GPU, or fewer of them), or as cuda_failure() does
/// where CUDA has another reason not to answer.
Status check_device(const std::string& subject, int device);

/// Makes a device current while it lives, and the one from before after that. Costs one thread-local read when the
/// device is current already.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) noexcept {
    const cudaError_t asked = cudaGetDevice(&previous_);
    if (asked != cudaSuccess) previous_ = -1;
    if (previous_ == device) return;
    ignore(asked);
    error_ = cudaSetDevice(device);
    ignore(error_);
    changed_ = true;
  }
  ~DeviceGuard() {
    if (changed_ && previous_ >= 0) ignore(cudaSetDevice(previous_));
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

  cudaError_t error() const noexcept { return error_; }
  Status check(const std::string& subject) const { return check_cuda(subject, "cudaSetDevice", error_); }

 private:
  int previous_ = -1;
  bool changed_ = false;
  cudaError_t error_ = cudaSuccess;
};

/// Memory that grows to what was asked and is kept for the next call. Its content is lost when it grows. The owner
/// makes sure that no work in flight uses it then, and when it goes.
class Buffer {
 public:
  enum class Kind { Device, Pinned };

  explicit Buffer(Kind kind) noexcept : kind_(kind) {}
  ~Buffer() { free(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  bool holds(size_t bytes) const noexcept { return bytes <= size_; }
  size_t size() const noexcept { return size_; }  // bytes
  char* data() const noexcept { return data_; }   // aligned to 256 bytes; null when empty

  /// Fails with DoesNotFit; the buffer is then empty.
  Status reserve(const std::string& subject, size_t bytes);

  void free() noexcept;

 private:
  Kind kind_;
  char* data_ = nullptr;
  size_t size_ = 0;
};

/// Owns a stream or an event of the device that was current when it was made.
template <typename Handle, cudaError_t (*destroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  ~Owned() { reset(); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  Handle get() const noexcept { return handle_; }
  Handle* out() noexcept {
    reset();
    return &handle_;
  }
  void reset() noexcept {
    if (handle_ != nullptr) ignore(destroy(handle_));
    handle_ = nullptr;
  }

 private:
  Handle handle_ = nullptr;
};

using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;

}  // namespace torchtrt_ws::tensorrt
