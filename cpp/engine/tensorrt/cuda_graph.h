#pragma once

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "engine/tensorrt/cuda.h"

namespace torchtrt_ws::tensorrt {

/// Enqueues a context's work, as a CUDA graph once shapes and addresses repeat.
///
/// A call whose bindings are those of the call before may be captured; while they stay, the graph is replayed. A
/// capture costs more than a call, so one that was replayed only a few times doubles the number of repeats that the
/// next one waits for: a caller that keeps changing tensors ends with plain calls. Where TensorRT does not let itself
/// be captured, that is said once and all calls are plain.
class CudaGraph {
 public:
  CudaGraph(std::string subject, bool wanted) : subject_(std::move(subject)), wanted_(wanted) {}
  ~CudaGraph() { restart(); }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  /// Whether forget() would destroy a graph: no launch of it may be in flight then.
  bool is_captured() const noexcept { return executable_ != nullptr; }

  /// The bindings changed.
  void forget() noexcept;

  /// The context is gone: what was learned about its caller's habits goes too.
  void restart() noexcept;

  /// Enqueues one run on `stream`. Returns false, with TensorRT's words in the thread's ErrorScope or CUDA's code in
  /// error(), when nothing could be enqueued.
  bool launch(nvinfer1::IExecutionContext& context, cudaStream_t stream);

  cudaError_t error() const noexcept { return error_; }

  /// Runs that were a replay, of this graph and those before it.
  uint64_t hits() const noexcept { return hits_; }

 private:
  bool should_capture() noexcept;
  void capture(nvinfer1::IExecutionContext& context);
  cudaGraph_t record(nvinfer1::IExecutionContext& context, std::string& why);

  const std::string subject_;
  bool wanted_;
  // Captures happen on a stream of our own: the caller's may be the legacy default stream, which cannot be captured. It
  // does not synchronize with that one, or a capture would break other threads' use of it.
  Stream stream_;
  cudaGraphExec_t executable_ = nullptr;
  int repeats_ = 0;         // plain calls with these bindings
  int needed_repeats_ = 2;  // before a capture
  int replays_ = 0;         // of executable_
  uint64_t hits_ = 0;
  cudaError_t error_ = cudaSuccess;
};

}  // namespace torchtrt_ws::tensorrt
