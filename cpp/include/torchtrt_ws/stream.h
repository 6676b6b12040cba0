#pragma once

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// While it lives, engines that this thread runs put their work on `stream`, a `cudaStream_t` of the engine's device.
///
/// A call whose tensors are all in device memory then returns without waiting: its results are ready when `stream`
/// has got there. With a tensor in host memory, or without a guard, results are ready when the call returns. The stream
/// must outlive the guard, not the work. Null is CUDA's legacy default stream. Guards nest; each is destroyed on the
/// thread that made it.
///
/// While `stream` is being captured into a CUDA graph a call puts its run into that graph and there is nothing to wait
/// for: last_event() is null. It is refused (InvalidState) with what a replay would not do again: tensors in host
/// memory or not aligned to 256 bytes, other shapes than in the run before, activation memory that engines share. The
/// graph is good while the engine's shapes, budget and context stay as they are.
///
/// Under ExecuTorch's own guard, executorch::extension::cuda::CallerStreamGuard, work goes to its stream as well,
/// beside that of other delegates; every call then waits for its results. This one is the stronger where both are
/// there.
///
///     torchtrt_ws::CallerStreamGuard guard(stream);
///     module.forward(inputs);  // enqueued on `stream`
class TORCHTRT_WS_API CallerStreamGuard {
 public:
  /// `may_return_early`: false makes every call wait for its results, on this stream.
  explicit CallerStreamGuard(void* stream, bool may_return_early = true) noexcept;
  ~CallerStreamGuard();
  CallerStreamGuard(const CallerStreamGuard&) = delete;
  CallerStreamGuard& operator=(const CallerStreamGuard&) = delete;

 private:
  void* previous_;
  bool had_previous_;
  bool previous_may_return_early_;
};

/// What to wait for before the results of this thread's last call are used outside of the caller's stream: a
/// `cudaEvent_t` of the engine, for cudaStreamWaitEvent() or cudaEventSynchronize(). Null where that call waited
/// itself, failed, or ran an engine that is not on a GPU. Of a program with several engines it is that of the last one,
/// which comes after the others on their stream. The engine's next call records it anew, and it goes with the engine.
TORCHTRT_WS_API void* last_event() noexcept;

}  // namespace torchtrt_ws
