#include "state.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "../cuda/ledger.h"
#include "../cuda/memory.h"

namespace standin {

const Plan::Tensor* EngineState::find(const char* name) const {
  auto found = std::find_if(plan.tensors.begin(), plan.tensors.end(),
                            [=](const Plan::Tensor& tensor) { return name != nullptr && tensor.name == name; });
  return found == plan.tensors.end() ? nullptr : &*found;
}

std::string fault_words(int error) {
  if (error == 0) return "4: Internal Error (injected)";
  return std::string("1: Cuda Runtime (") + cudaGetErrorString(static_cast<cudaError_t>(error)) + ")";
}

void log_error(const RuntimeState& runtime, const std::string& where, const std::string& words) {
  if (runtime.logger == nullptr) return;
  runtime.logger->log(nvinfer1::ILogger::Severity::kERROR, (where + ": Error Code " + words).c_str());
}

void log_misuse(const RuntimeState& runtime, const std::string& where, const std::string& condition,
                const std::string& words) {
  log_error(runtime, where, "3: API Usage Error (Parameter check failed, condition: " + condition + ". " + words + ")");
}

void log_out_of_memory(const RuntimeState& runtime, const std::string& where, int64_t bytes) {
  if (runtime.logger == nullptr) return;
  runtime.logger->log(nvinfer1::ILogger::Severity::kWARNING,
                      ("Requested amount of GPU memory (" + std::to_string(bytes) +
                       " bytes) could not be allocated. There may not be enough free memory for allocation to succeed.")
                          .c_str());
  log_error(runtime, where, "2: OutOfMemory (Requested size was " + std::to_string(bytes) + " bytes.)");
}

void absent(const char* function) {
  std::fprintf(stderr, "TensorRT stand-in: %s is not modelled; add it to tests/standin/tensorrt\n", function);
  std::abort();
}

bool check_device(int device, const char* who) {
  if (current_device() == device) return true;
  misuse(std::string(who) + ": called with device " + std::to_string(current_device()) +
         " current, but it belongs to " + std::to_string(device));
  return false;
}

nvinfer1::Dims to_dims(const std::vector<int64_t>& shape) {
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dims.d);
  return dims;
}

std::string to_text(const nvinfer1::Dims& dims) {
  std::string text = "[";
  for (int i = 0; i < dims.nbDims; ++i) text += (i == 0 ? "" : ",") + std::to_string(dims.d[i]);
  return text + "]";
}

int64_t volume(const nvinfer1::Dims& dims) {
  int64_t count = 1;
  for (int i = 0; i < dims.nbDims; ++i) {
    if (dims.d[i] < 0) return -1;
    count *= dims.d[i];
  }
  return dims.nbDims < 0 ? -1 : count;
}

}  // namespace standin
