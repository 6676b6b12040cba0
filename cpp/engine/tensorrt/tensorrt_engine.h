#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_kind.h"
#include "engine/tensorrt/activation_block.h"
#include "engine/tensorrt/execution.h"
#include "engine/tensorrt/io.h"
#include "engine/tensorrt/shared_plan.h"

namespace torchtrt_ws::tensorrt {

using CudaEngine = std::unique_ptr<nvinfer1::ICudaEngine>;

/// A TensorRT or TensorRT-RTX plan behind the Engine port. The caller serializes its calls (engine/engine.h).
class TensorRTEngine final : public Engine {
 public:
  /// Deserializes on request.device_id, else on the metadata's device. Every failure that OpenEngine names.
  static Result<std::unique_ptr<Engine>> open(Payload payload, const OpenRequest& request);
  ~TensorRTEngine() override;

  Result<std::unique_ptr<Engine>> share(Payload& payload, const OpenRequest& request) const override;
  const void* weights() const override { return plan_.get(); }
  std::string device_name() const override { return "cuda:" + std::to_string(device_); }
  const std::vector<TensorSpec>& inputs() const override { return io_.input_specs; }
  const std::vector<TensorSpec>& outputs() const override { return io_.output_specs; }
  int64_t streamable_bytes() const override { return plan_->budget().streamable(); }
  int64_t budget() const override { return plan_->budget().now(); }
  Result<int64_t> automatic_budget() const override;

  /// May set the budget to 0 (WeightBudget::scratch()): ask before set_budget(), and only where streaming is thought
  /// of.
  int64_t scratch_bytes() const override;

  int64_t device_bytes() const override;
  MemoryFacts memory() const override;
  Status set_budget(int64_t bytes) override;
  EngineCounters counters() const noexcept override;
  bool has_context() const override { return execution_ != nullptr && execution_->has_context(); }
  Status make_context() override;
  void drop_context() noexcept override;
  void release_staging() noexcept override;
  Status reset_state() override;
  bool refittable() const override { return plan_->refits().takes_any(); }
  Result<std::vector<RefittableWeight>> refittable_weights() const override { return plan_->refits().takes(); }
  Result<UndoRefit> refit(const std::vector<NewWeight>& weights) override;
  Status run(const std::vector<TensorView>& inputs, OutputSink& outputs) override;

 private:
  TensorRTEngine(std::string subject, int device) : subject_(std::move(subject)), device_(device) {}

  Status load(Payload payload, const OpenRequest& request);
  Result<CudaEngine> open_whole(Runtime& runtime, Payload payload, const Verification& verification,
                                const OpenRequest& request) const;
  Result<CudaEngine> open_refitted(Runtime& runtime, Payload payload, const Verification& verification,
                                   const Weights& weights, const OpenRequest& request);
  Status take(std::shared_ptr<SharedPlan> plan, const OpenRequest& request);
  Status make_context_here();
  void save_cache() noexcept;
  MemoryFacts memory_now() const;

  const std::string subject_;  // "engine 'name'", for messages
  const int device_;
  // Each of these needs those above it.
  std::shared_ptr<SharedPlan> plan_;        // its const questions may probe TensorRT
  std::shared_ptr<ActivationBlock> block_;  // null: contexts have memory of their own
  Io io_;
  std::unique_ptr<Execution> execution_;
  bool loaded_plan_ = false;  // and does not share one that was loaded before
  uint64_t refit_cache_hits_ = 0;
  uint64_t refit_cache_misses_ = 0;
  double context_seconds_ = 0;  // what making the last context took
};

}  // namespace torchtrt_ws::tensorrt
