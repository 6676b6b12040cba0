// A run on a stream that the caller captures into a CUDA graph of his own.

#include "engine/caller_stream.h"
#include "engine/tensorrt/caller_capture.h"
#include "engine/tensorrt/execution.h"
#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {

/// What a replay would not do again is refused here: copies that the host takes part in, waiting for other engines.
Status Execution::run_into_capture(const std::vector<TensorView>& inputs, OutputSink& outputs, cudaStream_t stream) {
  note_event(nullptr);
  if (block_ != nullptr) {
    return refuse_capture("activation memory that it shares with other engines", "memory of its own",
                          "Load the program with the option use_shared_activation_scratch set to false");
  }
  if (io_.has_aliases()) {
    return refuse_capture("outputs that are written into inputs, which ExecuTorch copies on the host",
                          "outputs of their own", "Run this engine outside of the capture");
  }
  if (data_outputs_.any() || !io_.shape_inputs.empty()) {
    return refuse_capture("sizes that depend on data, or on the values of an input", "shapes that are known before",
                          "Run this engine outside of the capture");
  }
  staging_.begin();
  for (size_t i = 0; i < inputs.size(); ++i) inputs_[i].view = inputs[i];
  if (shapes_.would_change(inputs)) {
    return refuse_capture("other shapes than those of the run before", "the same",
                          "Run once with these shapes before the capture begins");
  }
  Status step = ok_status();
  {
    const BesideCapture beside;
    step = wait_in_flight();
    if (step.ok()) graph_.forget();  // as a change of bindings would, which CUDA takes for a part of the capture
  }
  if (step.ok()) step = take_outputs(outputs);
  for (size_t i = 0; step.ok() && i < inputs_.size(); ++i) step = place(io_.inputs[i], inputs_[i]);
  for (size_t i = 0; step.ok() && i < outputs_.size(); ++i) step = place(io_.outputs[i], outputs_[i]);
  for (const std::vector<Slot>* slots : {&inputs_, &outputs_}) {
    for (const Slot& slot : *slots) {
      if (!step.ok() || slot.place == Place::Bound) continue;
      step =
          refuse_capture("a tensor in host memory, or not aligned to " + std::to_string(kAddressAlignment) + " bytes",
                         "tensors in the device's memory, aligned", "Give it such tensors during a capture");
    }
  }
  if (!step.ok()) return step;  // TensorRT was told nothing
  step = bind_all();
  if (step.ok()) step = state_.bind(*context_);
  if (!step.ok()) {
    forget_bindings();
    return step;
  }
  const ErrorScope errors;
  if (context_->enqueueV3(stream)) return check_cuda(subject_, "cudaMemcpyAsync", state_.carry_over(stream));
  Failure refused = refused_call(subject_, "enqueueV3", {}, errors.words());
  forget_bindings();
  return refused;
}

Status Execution::refuse_capture(const std::string& found, const std::string& expected,
                                 const std::string& next_step) const {
  return Failure{ErrorCode::WrongState, subject_ + ", on a stream that is captured into a CUDA graph", found, expected,
                 next_step};
}

}  // namespace torchtrt_ws::tensorrt
