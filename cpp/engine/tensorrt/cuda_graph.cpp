#include "engine/tensorrt/cuda_graph.h"

#include <algorithm>

#include "engine/log.h"
#include "engine/tensorrt/logger.h"

namespace torchtrt_ws::tensorrt {
namespace {

// The first call of a shape prepares TensorRT for it and must not be captured. Who did not ask for graphs may be about
// to make three calls and no more: they are not to wait for a capture.
constexpr int fewest_repeats(GraphUse use) { return use == GraphUse::On ? 2 : 4; }
constexpr int kMostRepeats = 1024;
constexpr int kMostFailures = 3;
constexpr int kReplaysThatPay = 64;  // a capture and its upload cost about that many launches

/// Bytes that a graph is taken to need on the device; the gpu reports have what was seen (graph_device_bytes).
constexpr int64_t kGraphBytes = int64_t{8} << 20;

}  // namespace

CudaGraph::CudaGraph(std::string subject, GraphUse use, int64_t margin)
    : subject_(std::move(subject)), use_(use), margin_(margin), needed_repeats_(fewest_repeats(use)) {}

void CudaGraph::forget() noexcept {
  repeats_ = 0;
  if (executable_ == nullptr) return;
  ignore(cudaGraphExecDestroy(executable_));
  executable_ = nullptr;
  const bool paid = replays_ >= kReplaysThatPay;
  replays_ = 0;
  if (!paid) return wait_longer();
  needed_repeats_ = fewest_repeats(use_);
}

void CudaGraph::restart() noexcept {
  forget();
  needed_repeats_ = fewest_repeats(use_);
}

void CudaGraph::wait_longer() noexcept {
  repeats_ = 0;
  needed_repeats_ = std::min(needed_repeats_ * 2, kMostRepeats);
}

bool CudaGraph::serves(nvinfer1::IExecutionContext& context, const Crossings& crossings) {
  if (executable_ != nullptr) return true;
  if (use_ == GraphUse::Off || failures_ == kMostFailures) return false;
  if (repeats_ < needed_repeats_) {
    ++repeats_;
    return false;
  }
  if (use_ == GraphUse::On || has_room()) capture(context, crossings);
  return executable_ != nullptr;
}

/// Half of the margin may be used up: automatic budgets leave just the margin, and a graph is of what it is for.
bool CudaGraph::has_room() {
  size_t free = 0;
  size_t total = 0;
  const cudaError_t error = cudaMemGetInfo(&free, &total);
  ignore(error);
  if (error == cudaSuccess && static_cast<int64_t>(free) - margin_ / 2 >= kGraphBytes) {
    return true;
  }
  lacks_memory();
  return false;
}

void CudaGraph::lacks_memory() {
  wait_longer();
  if (std::exchange(said_memory_, true)) return;
  log_info(subject_ + " runs without a CUDA graph while the device has no memory for one");
}

cudaError_t CudaGraph::launch(cudaStream_t stream) {
  const cudaError_t error = cudaGraphLaunch(executable_, stream);
  if (error == cudaSuccess) {
    ++replays_;
    ++hits_;
  }
  if (error != cudaErrorMemoryAllocation) return error;
  ignore(error);
  forget();
  lacks_memory();
  return error;
}

cudaError_t CudaGraph::record(nvinfer1::IExecutionContext& context, const Crossings& crossings, cudaGraph_t& graph,
                              std::string& why) {
  const ErrorScope errors;
  cudaError_t error = cudaSuccess;
  if (stream_.get() == nullptr) error = cudaStreamCreateWithFlags(stream_.out(), cudaStreamNonBlocking);
  // Of this thread alone: others may load meanwhile, which allocates.
  if (error == cudaSuccess) error = cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal);
  if (error == cudaSuccess) {
    cudaError_t step = crossings.in.enqueue(cudaMemcpyHostToDevice, stream_.get());
    const bool enqueued = step == cudaSuccess && context.enqueueV3(stream_.get());
    if (enqueued) step = crossings.out.enqueue(cudaMemcpyDeviceToHost, stream_.get());
    error = cudaStreamEndCapture(stream_.get(), &graph);  // also after a failure: it ends the capture
    if (step != cudaSuccess) error = step;
    if (error == cudaSuccess && (!enqueued || graph == nullptr)) error = cudaErrorStreamCaptureInvalidated;
  }
  why = errors.words();
  return error;
}

void CudaGraph::capture(nvinfer1::IExecutionContext& context, const Crossings& crossings) {
  std::string why;
  cudaGraph_t graph = nullptr;
  cudaError_t error = record(context, crossings, graph, why);
  if (error == cudaSuccess) error = cudaGraphInstantiate(&executable_, graph, 0);
  if (graph != nullptr) ignore(cudaGraphDestroy(graph));
  if (error == cudaSuccess) return;
  executable_ = nullptr;
  (void)cudaGetLastError();
  if (error == cudaErrorMemoryAllocation) return lacks_memory();
  failed(why.empty() ? cudaGetErrorString(error) : why);
}

void CudaGraph::failed(const std::string& why) {
  wait_longer();
  if (++failures_ < kMostFailures) return;
  log_info("warning: " + subject_ + " runs without a CUDA graph: it could not be captured (" + why + ")");
}

}  // namespace torchtrt_ws::tensorrt
