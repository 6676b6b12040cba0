#include "engine/tensorrt/weight_budget.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <utility>

#include "engine/log.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {
namespace {

/// All weights of the engine; 0 when the library cannot tell.
int64_t total_weights(const nvinfer1::ICudaEngine& engine, const Library& library) {
#if NV_TENSORRT_MAJOR < 8 || NV_TENSORRT_VERSION >= 101100
  if (library.has(101100)) return std::max<int64_t>(engine.getEngineStat(nvinfer1::EngineStat::kTOTAL_WEIGHTS_SIZE), 0);
#else
  (void)engine;
  (void)library;
#endif
  return 0;
}

int64_t free_bytes() {
  size_t free = 0;
  size_t total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return static_cast<int64_t>(free);
}

Failure refused(const std::string& subject, int64_t bytes, const std::string& words) {
  const std::string found = words.empty() ? "no reason from TensorRT" : words;
  const std::string asked = std::to_string(bytes) + " bytes of weights on the device";
  if (says_out_of_memory(words)) {
    return {ErrorCode::DoesNotFit, subject, found, "room for " + asked, "Free memory, or choose a smaller budget"};
  }
  return {ErrorCode::EngineFault, subject, found, "a budget of " + asked, "Report it with this message"};
}

}  // namespace

WeightBudget::WeightBudget(std::string subject, nvinfer1::ICudaEngine& engine, const Library& library)
    : subject_(std::move(subject)),
      engine_(engine),
      streamable_(std::max<int64_t>(engine.getStreamableWeightsSize(), 0)) {
  fixed_ = std::max<int64_t>(total_weights(engine, library) - streamable_, 0);
  note_scratch();
  context_ = std::max<int64_t>(engine.getDeviceMemorySizeV2(), 0);
  // While the engine streams, that number has the scratch in it (NvInferRuntime.h,
  // getWeightStreamingScratchMemorySize).
  if (scratch_ && context_ >= *scratch_) context_ -= *scratch_;
}

int64_t WeightBudget::now() const noexcept {
  // TensorRT complains when an engine without streamable weights is asked.
  return streamable_ > 0 ? std::clamp<int64_t>(engine_.getWeightStreamingBudgetV2(), 0, streamable_) : 0;
}

void WeightBudget::note_scratch() noexcept {
  if (streamable_ == 0 || !streams()) return;
  scratch_ = std::max<int64_t>(engine_.getWeightStreamingScratchMemorySize(), 0);
}

Status WeightBudget::set(int64_t bytes) {
  if (streamable_ == 0) return ok_status();
  bytes = std::clamp<int64_t>(bytes, 0, streamable_);
  const ErrorScope errors;
  if (!engine_.setWeightStreamingBudgetV2(bytes)) {
    resident_ = resident_ && !streams();
    return refused(subject_, bytes, errors.words());
  }
  // What TensorRT-RTX 1.6.1 frees here, the device has back when somebody synchronizes with the default stream, or with
  // the next context (seen on an H100): till then free memory reads too small, and a sleeping engine would keep it.
  if (std::exchange(resident_, !streams()) && !resident_) ignore(cudaStreamSynchronize(nullptr));
  note_scratch();
  return ok_status();
}

int64_t WeightBudget::automatic(Holder holder) const {
  if (streamable_ == 0) return 0;
  const ErrorScope errors;
  // TensorRT looks at what is free now: what this engine holds itself would come on top after a fresh load.
  const int64_t chosen = std::max<int64_t>(engine_.getWeightStreamingAutomaticBudget(), 0);
  return std::min(streamable_, chosen + held(holder));
}

int64_t WeightBudget::scratch(bool may_probe) {
  if (!scratch_ && streamable_ > 0 && may_probe) {
    Status probed = set(0);  // notes the scratch
    if (!probed.ok()) {
      log_info("warning: " + probed.failure().message());
    }
  }
  return scratch_.value_or(0);
}

int64_t WeightBudget::held(Holder holder) const {
  const int64_t weights = holder.context ? now() : (resident_ ? streamable_ : 0);
  return (holder.weights ? weights : 0) + (holder.context ? context_now() : 0);
}

MemoryFacts WeightBudget::memory(Holder holder) const {
  const int64_t own = held(holder);
  if (!holder.weights) return {free_bytes() + own, context_now(), 0, 0, own};
  return {free_bytes() + own, context_, scratch_.value_or(0), streamable_, own};
}

int64_t WeightBudget::device_bytes(Holder holder) const { return (holder.weights ? fixed_ : 0) + held(holder); }

}  // namespace torchtrt_ws::tensorrt
