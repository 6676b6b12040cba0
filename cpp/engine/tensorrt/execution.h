#pragma once

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/graph_use.h"
#include "engine/tensorrt/activation_block.h"
#include "engine/tensorrt/context.h"
#include "engine/tensorrt/crossing.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/cuda_graph.h"
#include "engine/tensorrt/data_outputs.h"
#include "engine/tensorrt/engine_state.h"
#include "engine/tensorrt/io.h"
#include "engine/tensorrt/place.h"
#include "engine/tensorrt/shape_values.h"
#include "engine/tensorrt/shapes.h"
#include "engine/tensorrt/staging.h"

namespace torchtrt_ws::tensorrt {

/// Runs an engine's execution context, and knows what of it is in flight. The engine's device is current in every call.
///
/// Which stream: the caller's (torchtrt_ws/stream.h), else one of the engine's own. That one synchronizes with the
/// legacy default stream, so that inputs written there, or by cudaMemcpy, are seen; it is neither that stream itself,
/// on which TensorRT synchronizes the whole device, nor the per-thread one, which a green context makes invalid.
///
/// A call returns without waiting when there is a caller's stream and all its tensors are in device memory. An event
/// then orders what comes after: the next run, and a switch of the optimization profile before it, waits for it on the
/// device; a change of memory, or of values that are shapes, on the host, as does whatever ends a graph that may be in
/// flight.
///
/// A caller who captures his stream himself gets one plain run of an engine into his graph. It is good while shapes,
/// addresses, budget and context stay as they are, which is his to see to.
class Execution {
 public:
  /// `io` outlives this object. `margin`: bytes of the device that a graph nobody asked for does not take. Fails with
  /// EngineFault or DoesNotFit.
  static Result<std::unique_ptr<Execution>> create(const std::string& subject, int device, const Io& io,
                                                   GraphUse cuda_graph, int64_t margin);
  ~Execution();
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  bool has_context() const noexcept { return context_ != nullptr; }
  /// `block`: where the context works; null: it has memory of its own.
  /// Precondition: profile 0 is in force.
  void attach(Context context, std::shared_ptr<ActivationBlock> block);
  void detach() noexcept;  // waits for work in flight

  /// Precondition: no context, so that nothing is in flight. reserve() and the next run take it again.
  void release_staging() noexcept;

  /// Precondition: has_context(). After a failure nothing is in flight and the next call starts afresh.
  Status run(const std::vector<TensorView>& inputs, OutputSink& outputs);

  /// Takes the memory that every context needs here, where it is not there yet: for the engine's state, which stays,
  /// and for tensors without elements, until release_staging(). Before attach(). Fails with DoesNotFit or EngineFault.
  Status reserve();

  /// Makes that state zeros, as before the first run. Waits for work in flight. Fails with EngineFault.
  Status reset_state();

  uint64_t graph_hits() const noexcept { return graph_.hits(); }

  cudaStream_t own_stream() const noexcept { return stream_.get(); }

  /// Bytes of the device that it holds, without those of a context.
  int64_t device_bytes() const noexcept;

  /// Bytes that reserve() and runs may still take. Saturates at 2^63-1.
  int64_t missing_bytes() const noexcept;

 private:
  /// One tensor in the call in progress, and what TensorRT was last told of it.
  struct Slot {
    void* address = nullptr;  // null: TensorRT was not told
    TensorView view{};
    Place place = Place::Bound;
    size_t staged = 0;  // index in staging_
  };
  struct CopyBack {
    const void* from;
    void* to;
    size_t nbytes;
  };

  Execution(std::string subject, const Io& io, Placer placer, GraphUse cuda_graph, int64_t margin);

  Status run_into_capture(const std::vector<TensorView>& inputs, OutputSink& outputs, cudaStream_t stream);
  Status refuse_capture(const std::string& found, const std::string& expected, const std::string& next_step) const;
  Status prepare(const std::vector<TensorView>& inputs, OutputSink& outputs, cudaStream_t stream);
  Status leave_old_shapes(const std::vector<TensorView>& inputs, cudaStream_t stream);
  Status tell_shapes(const std::vector<TensorView>& inputs);
  Status use_profile_for(const std::vector<TensorView>& inputs, cudaStream_t stream);
  Status switch_profile(size_t profile, cudaStream_t stream);
  Status take_outputs(OutputSink& sink);
  Status place_all();
  Status place(const IoTensor& tensor, Slot& slot) const;
  void stage(Place which, bool is_input, std::vector<Slot>& slots);
  Status bind_all();
  Status bind(const IoTensor& tensor, Slot& slot, void* address);
  Status leave_graph();
  void* address_of(const Slot& slot) const noexcept;
  void plan_copies_back();

  Status enqueue(cudaStream_t stream);
  Status enqueue_engine(cudaStream_t stream);
  Status enqueue_in_block(cudaStream_t stream);
  Status work_in(const ActivationBlock::Turn& turn);
  Status finish(cudaStream_t stream, bool may_return_early);
  Status wait_in_flight();
  void drain(cudaStream_t stream) noexcept;
  void forget_bindings() noexcept;
  bool touches_host() const noexcept;

  const std::string subject_;
  const Io& io_;
  const Placer placer_;
  Context context_;
  std::shared_ptr<ActivationBlock> block_;
  std::optional<uint64_t> block_generation_;  // of the memory that the context was told
  Stream stream_;                             // for calls without a caller's stream
  Event done_;                                // recorded behind the last run or switch that was not waited for
  bool in_flight_ = false;
  std::optional<size_t> profile_;  // in force; nullopt: a switch failed, so it may be any
  std::vector<Shape> asked_;       // of the call in progress; kept so that it allocates nothing
  Shapes shapes_;
  ShapeValues values_;
  DataOutputs data_outputs_;
  EngineState state_;
  Staging staging_;
  CudaGraph graph_;
  Crossings crossings_;            // of the run before, which its graph has in it
  bool crossed_in_graph_ = false;  // by the run in progress
  Buffer nothing_;                 // what tensors without elements are bound to: TensorRT wants an address
  std::vector<Slot> inputs_;
  std::vector<Slot> outputs_;
  std::vector<CopyBack> copies_back_;  // from inputs that outputs are written into
};

}  // namespace torchtrt_ws::tensorrt
