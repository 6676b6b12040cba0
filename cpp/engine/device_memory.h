#pragma once

#include <cstddef>

#include "base/result.h"
#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// Memory of CUDA devices, for ExecuTorch's allocator (delegate/device_allocator.cpp). Safe to use from several
/// threads. All fail with DoesNotFit, NotSupported (no device, no driver) or EngineFault.
class TORCHTRT_WS_API DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;

  /// `nbytes` of the memory of `device`, as CUDA counts them, aligned to `alignment` bytes: at most 256.
  virtual Result<void*> allocate(size_t nbytes, int device, size_t alignment) = 0;

  virtual void deallocate(void* memory, int device) noexcept = 0;

  /// Copy `nbytes` behind what the caller's stream (torchtrt_ws/stream.h), or else the legacy default stream, has to
  /// do, and wait.
  virtual Status copy_to_device(void* to, const void* from, size_t nbytes, int device) = 0;
  virtual Status copy_to_host(void* to, const void* from, size_t nbytes, int device) = 0;
};

/// An adapter calls this while it is loaded. `memory` lives as long as the process; the first one stays.
TORCHTRT_WS_API void provide_device_memory(DeviceMemory* memory) noexcept;

}  // namespace torchtrt_ws
