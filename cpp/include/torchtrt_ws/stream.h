#pragma once

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// While it lives, engines that this thread runs put their work on `stream`, a `cudaStream_t` of the engine's device.
///
/// A call whose tensors are all in device memory then returns without waiting: its results are ready when `stream`
/// has got there. With a tensor in host memory, or without a guard, results are ready when the call returns. The stream
/// must outlive the guard, not the work. Null is CUDA's legacy default stream. Guards nest; each is destroyed on the
/// thread that made it. Not for use while `stream` is being captured into a CUDA graph.
///
///     torchtrt_ws::CallerStreamGuard guard(stream);
///     module.forward(inputs);  // enqueued on `stream`
class TORCHTRT_WS_API CallerStreamGuard {
 public:
  explicit CallerStreamGuard(void* stream) noexcept;
  ~CallerStreamGuard();
  CallerStreamGuard(const CallerStreamGuard&) = delete;
  CallerStreamGuard& operator=(const CallerStreamGuard&) = delete;

 private:
  void* previous_;
  bool had_previous_;
};

}  // namespace torchtrt_ws
