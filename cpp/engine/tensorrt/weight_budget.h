#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "budget/ladder.h"
#include "engine/sharers.h"
#include "engine/tensorrt/library.h"

namespace torchtrt_ws::tensorrt {

/// The weight-streaming side of one engine: its budget, and where its device memory goes. Sizes are bytes.
///
/// Where memory goes (seen, TensorRT-RTX 1.6.1): at the full streamable size the weights come with the budget and stay
/// without a context; below it they come and go with the context. Scratch and the context's own memory always go with
/// the context. The engine's device is current in every call.
class WeightBudget {
 public:
  /// `engine` outlives this object and has no context yet.
  WeightBudget(std::string subject, nvinfer1::ICudaEngine& engine, const Library& library);

  int64_t streamable() const noexcept { return streamable_; }

  /// TensorRT's own answer; 0 for an engine that cannot stream.
  int64_t now() const noexcept;

  /// Fails with DoesNotFit, or EngineFault. There is no context. TensorRT keeps the old budget when it refuses one.
  Status set(int64_t bytes);

  /// What TensorRT would choose on a device that this engine is not on.
  int64_t automatic(Holder holder) const;

  /// Needed while streaming; 0 until known. TensorRT tells it only while it streams: where `may_probe` (no context
  /// lives), an engine that never streamed is set to a budget of 0 to find out, and stays there.
  int64_t scratch(bool may_probe);

  /// free: on the device without what `holder` has of streamable weights, scratch and context. For one that
  /// does not count the weights nothing is streamable, and scratch is part of its context.
  MemoryFacts memory(Holder holder) const;

  /// What a context takes at the budget of now, scratch with it.
  int64_t context_now() const { return context_ + (streams() ? scratch_.value_or(0) : 0); }

  /// On the device now, of `holder`: all weights there, scratch and context.
  int64_t device_bytes(Holder holder) const;

 private:
  bool streams() const noexcept { return now() < streamable_; }
  void note_scratch() noexcept;
  int64_t held(Holder holder) const;  // of what comes and goes: streamable weights, scratch, context

  const std::string subject_;
  nvinfer1::ICudaEngine& engine_;
  const int64_t streamable_;
  int64_t fixed_ = 0;               // weights that never stream
  int64_t context_ = 0;             // of a context, without scratch
  std::optional<int64_t> scratch_;  // once TensorRT has told
  bool resident_ = false;           // set(streamable_) put the weights on the device
};

}  // namespace torchtrt_ws::tensorrt
