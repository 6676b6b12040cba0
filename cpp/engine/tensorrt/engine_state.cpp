#include "engine/tensorrt/engine_state.h"

#include <utility>

#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {
namespace {

int64_t total(const Io& io) noexcept {
  int64_t bytes = 0;  // what read_io() has checked fits
  for (const IoState& state : io.states) bytes += static_cast<int64_t>(state.nbytes) * (state.in_place ? 1 : 2);
  return bytes;
}

}  // namespace

EngineState::EngineState(std::string subject, const Io& io) : subject_(std::move(subject)), io_(io), bytes_(total(io)) {
  for (size_t i = 0; i < io.states.size(); ++i) slots_.push_back(std::make_unique<Slot>());
}

Status EngineState::reserve(cudaStream_t stream) {
  if (taken_) return ok_status();
  Status step = ok_status();
  for (size_t i = 0; step.ok() && i < slots_.size(); ++i) {
    step = slots_[i]->before.reserve(subject_, io_.states[i].nbytes);
    if (step.ok() && !io_.states[i].in_place) step = slots_[i]->after.reserve(subject_, io_.states[i].nbytes);
  }
  if (step.ok()) step = fill(stream);
  if (!step.ok()) {
    for (const auto& slot : slots_) {
      slot->before.free();
      slot->after.free();
    }
    return step;
  }
  taken_ = true;
  return step;
}

Status EngineState::clear(cudaStream_t stream) { return taken_ ? fill(stream) : ok_status(); }

Status EngineState::fill(cudaStream_t stream) const {
  cudaError_t error = cudaSuccess;
  for (size_t i = 0; error == cudaSuccess && i < slots_.size(); ++i) {
    error = cudaMemsetAsync(slots_[i]->before.data(), 0, io_.states[i].nbytes, stream);
  }
  if (error != cudaSuccess) return cuda_failure(subject_, "cudaMemsetAsync", error);
  return check_cuda(subject_, "cudaStreamSynchronize", cudaStreamSynchronize(stream));
}

Status EngineState::bind(nvinfer1::IExecutionContext& context) {
  if (told_) return ok_status();
  for (size_t i = 0; i < slots_.size(); ++i) {
    const IoState& state = io_.states[i];
    char* const before = slots_[i]->before.data();
    char* const after = state.in_place ? before : slots_[i]->after.data();
    const ErrorScope errors;
    if (!context.setTensorAddress(state.input.c_str(), before)) {
      return refused_call(subject_, "setTensorAddress", state.input, errors.words());
    }
    if (!context.setTensorAddress(state.output.c_str(), after)) {
      return refused_call(subject_, "setTensorAddress", state.output, errors.words());
    }
  }
  told_ = true;
  return ok_status();
}

cudaError_t EngineState::carry_over(cudaStream_t stream) const noexcept {
  cudaError_t error = cudaSuccess;
  for (size_t i = 0; error == cudaSuccess && i < slots_.size(); ++i) {
    if (io_.states[i].in_place) continue;
    const Slot& slot = *slots_[i];
    error =
        cudaMemcpyAsync(slot.before.data(), slot.after.data(), io_.states[i].nbytes, cudaMemcpyDeviceToDevice, stream);
  }
  return error;
}

}  // namespace torchtrt_ws::tensorrt
