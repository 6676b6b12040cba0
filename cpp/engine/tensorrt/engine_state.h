#pragma once

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/io.h"

namespace torchtrt_ws::tensorrt {

/// The buffers that an engine keeps from call to call (Io::states), in device memory of ours.
///
/// What the engine writes in place, such as a cache (IKVCacheUpdateLayer), is one buffer, bound as input and as output.
/// Anything else has two, and is copied from the one to the other behind each run.
class EngineState {
 public:
  /// `io` outlives this object.
  EngineState(std::string subject, const Io& io);

  bool any() const noexcept { return !slots_.empty(); }

  /// Bytes that reserve() will take; 0 once it has.
  int64_t missing_bytes() const noexcept { return taken_ ? 0 : bytes_; }
  int64_t device_bytes() const noexcept { return taken_ ? bytes_ : 0; }

  /// Takes the memory, all zeros, where it is not there yet. Waits for `stream`. Fails with DoesNotFit or EngineFault;
  /// none is taken then.
  Status reserve(cudaStream_t stream);

  /// Makes it zeros again. Nothing is in flight. Waits for `stream`. Fails with EngineFault.
  Status clear(cudaStream_t stream);

  /// Tells the context where it is, unless that was told. Fails with EngineFault.
  Status bind(nvinfer1::IExecutionContext& context);

  /// The context is gone, or has forgotten what it was told.
  void forget() noexcept { told_ = false; }

  /// Enqueues what makes it that of the next run, behind the engine's work.
  cudaError_t carry_over(cudaStream_t stream) const noexcept;

 private:
  struct Slot {
    Buffer before{Buffer::Kind::Device};
    Buffer after{Buffer::Kind::Device};  // empty where the engine writes in place
  };

  Status fill(cudaStream_t stream) const;

  const std::string subject_;
  const Io& io_;
  const int64_t bytes_;
  bool taken_ = false;
  bool told_ = false;
  std::vector<std::unique_ptr<Slot>> slots_;  // as io_.states
};

}  // namespace torchtrt_ws::tensorrt
