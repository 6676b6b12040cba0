#include <map>
#include <memory>
#include <string>

#include "call.h"
#include "memory.h"
#include "standin_stream.h"

using standin::call;
using standin::give_back_call;

namespace {

using WorkList = std::shared_ptr<const std::vector<standin::Work>>;

std::map<const void*, WorkList>& graphs() {
  static auto* graphs = new std::map<const void*, WorkList>;
  return *graphs;
}

// What an executable graph takes of the device (setting "graph_bytes").
std::map<const void*, void*>& memories() {
  static auto* memories = new std::map<const void*, void*>;
  return *memories;
}

std::map<const void*, WorkList>& execs() {
  static auto* execs = new std::map<const void*, WorkList>;
  return *execs;
}

// Handles are addresses of bytes of their own, so that no two that live are equal.
template <typename Handle>
Handle add(std::map<const void*, WorkList>& map, WorkList work, const char* kind) {
  auto handle = reinterpret_cast<Handle>(new char);
  map.emplace(handle, std::move(work));
  standin::count_live(kind, 1);
  return handle;
}

bool remove(std::map<const void*, WorkList>& map, const void* handle, const char* kind) {
  if (map.erase(handle) == 0) {
    standin::misuse(std::string(kind) + " that is destroyed or was never made");
    return false;
  }
  delete static_cast<const char*>(handle);
  standin::count_live(kind, -1);
  return true;
}

WorkList find(const std::map<const void*, WorkList>& map, const void* handle, const char* kind) {
  auto found = map.find(handle);
  if (found != map.end()) return found->second;
  standin::misuse(std::string(kind) + " that is destroyed or was never made");
  return nullptr;
}

cudaError_t instantiate(cudaGraphExec_t* exec, cudaGraph_t graph) {
  WorkList work = find(graphs(), graph, "graph");
  if (work == nullptr || exec == nullptr) return cudaErrorInvalidValue;
  const auto bytes = static_cast<size_t>(standin::setting("graph_bytes"));
  void* const memory = bytes == 0 ? nullptr : standin::allocate(standin::Kind::Graph, standin::current_device(), bytes);
  if (bytes != 0 && memory == nullptr) return cudaErrorMemoryAllocation;
  *exec = add<cudaGraphExec_t>(execs(), std::move(work), "graph_exec");
  if (memory != nullptr) memories().emplace(*exec, memory);
  return cudaSuccess;
}

cudaError_t destroy(cudaGraphExec_t exec) {
  const auto memory = memories().find(exec);
  if (memory != memories().end()) {
    standin::release(memory->second, standin::Kind::Graph, "cudaGraphExecDestroy");
    memories().erase(memory);
  }
  return remove(execs(), exec, "graph_exec") ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t end_capture(cudaStream_t handle, cudaGraph_t* graph) {
  auto stream = standin::find_stream(handle, "cudaStreamEndCapture");
  if (stream == nullptr || graph == nullptr) return cudaErrorInvalidValue;
  *graph = nullptr;
  if (stream->capture == nullptr) return cudaErrorIllegalState;
  if (stream->capture->mode != cudaStreamCaptureModeRelaxed && stream->capture->thread != std::this_thread::get_id()) {
    stream->capture->invalid = true;
    return cudaErrorStreamCaptureWrongThread;
  }
  auto capture = std::move(stream->capture);
  if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
  *graph = add<cudaGraph_t>(graphs(), std::make_shared<std::vector<standin::Work>>(std::move(capture->work)), "graph");
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return call("cudaStreamBeginCapture", [=] {
    auto stream = standin::find_stream(handle, "cudaStreamBeginCapture");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->legacy) return cudaErrorStreamCaptureUnsupported;
    if (stream->capture != nullptr) return cudaErrorIllegalState;
    stream->capture = std::make_unique<standin::Capture>();
    stream->capture->mode = mode;
    stream->capture->thread = std::this_thread::get_id();
    return cudaSuccess;
  });
}

// Fails after the capture has ended, also when a test asks for it: CUDA leaves no stream capturing.
cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  auto guard = standin::lock();
  auto injected = standin::enter("cudaStreamEndCapture");
  if (cudaError_t missing = standin::driver_error(); missing != cudaSuccess) return standin::keep(missing);
  cudaError_t error = end_capture(handle, graph);
  if (!injected.has_value()) return standin::keep(error);
  if (error == cudaSuccess) {
    remove(graphs(), *graph, "graph");
    *graph = nullptr;
  }
  return standin::keep(*injected == 0 ? cudaErrorStreamCaptureInvalidated : static_cast<cudaError_t>(*injected));
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return call("cudaStreamIsCapturing", [=] {
    auto stream = standin::find_stream(handle, "cudaStreamIsCapturing");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
              : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return call("cudaThreadExchangeStreamCaptureMode", [=] {
    std::swap(*mode, standin::thread_capture_mode());
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return call("cudaGraphInstantiate", [=] { return instantiate(exec, graph); }, cudaErrorMemoryAllocation);
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return call("cudaGraphInstantiateWithFlags", [=] { return instantiate(exec, graph); }, cudaErrorMemoryAllocation);
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo* result) {
  return call("cudaGraphExecUpdate", [=] {
    WorkList work = find(graphs(), graph, "graph");
    if (work == nullptr || find(execs(), exec, "graph_exec") == nullptr) return cudaErrorInvalidValue;
    execs()[exec] = std::move(work);
    if (result != nullptr) *result = cudaGraphExecUpdateResultInfo{};
    return cudaSuccess;
  });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t) {
  return call("cudaGraphUpload",
              [=] { return find(execs(), exec, "graph_exec") == nullptr ? cudaErrorInvalidValue : cudaSuccess; });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle) {
  return call("cudaGraphLaunch", [=] {
    WorkList work = find(execs(), exec, "graph_exec");
    auto stream = standin::find_stream(handle, "cudaGraphLaunch");
    if (work == nullptr || stream == nullptr) return cudaErrorInvalidValue;
    return standin::enqueue(*stream, [work] {
      for (const standin::Work& node : *work) {
        if (cudaError_t error = node(); error != cudaSuccess) return error;
      }
      return cudaSuccess;
    });
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return give_back_call("cudaGraphDestroy",
                        [=] { return remove(graphs(), graph, "graph") ? cudaSuccess : cudaErrorInvalidValue; });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return give_back_call("cudaGraphExecDestroy", [=] {
    if (cudaError_t error = standin::check_unsafe_call(); error != cudaSuccess) return error;  // it frees memory
    return destroy(exec);
  });
}
