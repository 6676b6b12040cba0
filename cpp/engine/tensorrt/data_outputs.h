#pragma once

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/io.h"

namespace torchtrt_ws::tensorrt {

/// The outputs whose shape depends on the data: TensorRT asks for memory while it runs, and tells the shape by the time
/// enqueueV3 returns (NvInferRuntime.h, IOutputAllocator).
///
/// They are written into device memory of ours, which grows to the largest and is kept; what came out is then copied to
/// the program's memory, where it fits. TensorRT may ask for more than it fills, and the program's tensor tells only
/// then how large it may be. Nothing is in flight when a run begins: such runs are waited for.
class DataOutputs {
 public:
  /// `io` outlives this object.
  DataOutputs(std::string subject, const Io& io);
  ~DataOutputs();
  DataOutputs(const DataOutputs&) = delete;
  DataOutputs& operator=(const DataOutputs&) = delete;

  /// Valid once bound_outputs() has seen the context.
  bool any() const noexcept;

  /// Begins a run: the context gets the allocators, where it has none. Fails with EngineFault.
  Status begin(nvinfer1::IExecutionContext& context);

  /// The context is gone, or has forgotten what it was told.
  void forget() noexcept { told_ = false; }

  /// Why TensorRT got no memory in this run; nullopt: it was not refused.
  std::optional<Failure> refused() const;

  /// Gives each output its shape and enqueues its copy to the program's memory, which may be on the host or the device.
  /// Fails with BadArgument where the program planned less for it.
  Status hand_over(OutputSink& sink, cudaStream_t stream);

  int64_t device_bytes() const noexcept;

  /// Bytes that runs may still take, in the largest shapes. Saturates at 2^63-1.
  int64_t missing_bytes() const noexcept;

  /// Gives the memory back. Nothing is in flight.
  void release() noexcept;

 private:
  class Slot;

  Status hand_over(const Slot& slot, OutputSink& sink, cudaStream_t stream) const;

  const std::string subject_;
  const Io& io_;
  bool told_ = false;
  std::vector<std::unique_ptr<Slot>> slots_;  // TensorRT holds their addresses
};

}  // namespace torchtrt_ws::tensorrt
