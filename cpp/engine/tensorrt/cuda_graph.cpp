#include "engine/tensorrt/cuda_graph.h"

#include <algorithm>

#include "engine/log.h"
#include "engine/tensorrt/logger.h"

namespace torchtrt_ws::tensorrt {
namespace {

constexpr int kFewestRepeats = 2;  // the first call of a shape prepares TensorRT for it and must not be captured
constexpr int kMostRepeats = 1024;
constexpr int kReplaysThatPay = 64;  // a capture and its upload cost about that many launches

}  // namespace

void CudaGraph::forget() noexcept {
  repeats_ = 0;
  if (executable_ == nullptr) return;
  ignore(cudaGraphExecDestroy(executable_));
  executable_ = nullptr;
  const bool paid = replays_ >= kReplaysThatPay;
  needed_repeats_ = paid ? kFewestRepeats : std::min(needed_repeats_ * 2, kMostRepeats);
  replays_ = 0;
}

void CudaGraph::restart() noexcept {
  forget();
  needed_repeats_ = kFewestRepeats;
}

bool CudaGraph::should_capture() noexcept {
  if (!wanted_ || executable_ != nullptr) return false;
  if (repeats_ < needed_repeats_) {
    ++repeats_;
    return false;
  }
  return true;
}

bool CudaGraph::launch(nvinfer1::IExecutionContext& context, cudaStream_t stream) {
  error_ = cudaSuccess;
  if (should_capture()) capture(context);
  if (executable_ == nullptr) return context.enqueueV3(stream);
  ++replays_;
  error_ = cudaGraphLaunch(executable_, stream);
  if (error_ == cudaSuccess) ++hits_;
  return error_ == cudaSuccess;
}

cudaGraph_t CudaGraph::record(nvinfer1::IExecutionContext& context, std::string& why) {
  const ErrorScope errors;
  cudaGraph_t graph = nullptr;
  cudaError_t error = cudaSuccess;
  if (stream_.get() == nullptr) error = cudaStreamCreateWithFlags(stream_.out(), cudaStreamNonBlocking);
  if (error == cudaSuccess) error = cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal);
  if (error == cudaSuccess) {
    const bool enqueued = context.enqueueV3(stream_.get());
    error = cudaStreamEndCapture(stream_.get(), &graph);  // also after a failure: it ends the capture
    if (enqueued && error == cudaSuccess && graph != nullptr) return graph;
  }
  why = errors.words();
  if (why.empty()) why = cudaGetErrorString(error);
  if (graph != nullptr) ignore(cudaGraphDestroy(graph));
  return nullptr;
}

void CudaGraph::capture(nvinfer1::IExecutionContext& context) {
  std::string why;
  cudaGraph_t graph = record(context, why);
  if (graph != nullptr) {
    const cudaError_t error = cudaGraphInstantiate(&executable_, graph, 0);
    ignore(cudaGraphDestroy(graph));
    if (error == cudaSuccess) return;
    executable_ = nullptr;
    why = cudaGetErrorString(error);
  }
  (void)cudaGetLastError();
  wanted_ = false;
  log_info("warning: " + subject_ + " runs without a CUDA graph: it could not be captured (" + why + ")");
}

}  // namespace torchtrt_ws::tensorrt
