#pragma once

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>
#include <utility>

#include "engine/graph_use.h"
#include "engine/tensorrt/crossing.h"
#include "engine/tensorrt/cuda.h"

namespace torchtrt_ws::tensorrt {

/// A context's runs as one CUDA graph, once shapes and addresses repeat; the copies of staged host tensors are in it.
///
/// The owner calls forget() when a binding changes. Some calls with the same bindings may then be captured; while these
/// stay, the graph is replayed. A capture costs more than a call, so one that was replayed only a few times doubles the
/// number of repeats that the next one waits for: a caller that keeps changing tensors ends with plain calls.
///
/// A graph takes device memory that nobody planned. GraphUse::Auto captures only where enough is free, and looks again
/// after twice as many calls; so does either where CUDA had no memory for one.
///
/// A capture may fail because of what another thread does: CUDA ends it where one synchronizes the device (CUDA C++
/// Programming Guide, "Prohibited and Unhandled Operations"). It is tried again later; where it keeps failing all calls
/// are plain. This and a lack of memory are said once.
class CudaGraph {
 public:
  /// `margin`: bytes of the device that are not ours to take unasked.
  CudaGraph(std::string subject, GraphUse use, int64_t margin);
  ~CudaGraph() { restart(); }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  /// Whether forget() would destroy a graph: no launch of it may be in flight then.
  bool is_captured() const noexcept { return executable_ != nullptr; }

  /// The bindings changed.
  void forget() noexcept;

  /// The context is gone: what was learned about its caller's habits goes too.
  void restart() noexcept;

  /// One more run with these bindings begins: whether it is to be launched. Captures when it is time to. `crossings`
  /// are part of the bindings.
  bool serves(nvinfer1::IExecutionContext& context, const Crossings& crossings);

  /// Enqueues the run on `stream`; precondition: serves(). cudaErrorMemoryAllocation: nothing was enqueued, and the
  /// graph is gone; the run is to be a plain one.
  cudaError_t launch(cudaStream_t stream);

  /// Runs that were a replay, of this graph and those before it.
  uint64_t hits() const noexcept { return hits_; }

 private:
  bool has_room();
  void capture(nvinfer1::IExecutionContext& context, const Crossings& crossings);
  cudaError_t record(nvinfer1::IExecutionContext& context, const Crossings& crossings, cudaGraph_t& graph,
                     std::string& why);
  void wait_longer() noexcept;
  void lacks_memory();
  void failed(const std::string& why);

  const std::string subject_;
  const GraphUse use_;
  const int64_t margin_;
  int failures_ = 0;  // of captures, not for want of memory
  bool said_memory_ = false;
  // Captures happen on a stream of our own: the caller's may be the legacy default stream, which cannot be captured. It
  // does not synchronize with that one, or a capture would break other threads' use of it.
  Stream stream_;
  cudaGraphExec_t executable_ = nullptr;
  int repeats_ = 0;     // plain calls with these bindings
  int needed_repeats_;  // before a capture
  int replays_ = 0;     // of executable_
  uint64_t hits_ = 0;
};

}  // namespace torchtrt_ws::tensorrt
