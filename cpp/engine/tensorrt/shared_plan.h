#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "engine/sharers.h"
#include "engine/tensorrt/refits.h"
#include "engine/tensorrt/runtime.h"
#include "engine/tensorrt/runtime_cache.h"
#include "engine/tensorrt/weight_budget.h"

namespace torchtrt_ws::tensorrt {

/// A deserialized plan and its weights, for all TensorRTEngines that share them; each has an execution context of its
/// own. Gone with the last of them.
///
/// The budget is everybody's: it changes while none of them has a context. Members are safe to use from several
/// threads, but for what changes the budget, which the caller serializes (engine/engine.h).
class SharedPlan {
 public:
  SharedPlan(const std::string& subject, std::shared_ptr<Runtime> runtime,
             std::unique_ptr<nvinfer1::ICudaEngine> engine, int device, const RuntimeCacheUse& use,
             std::unique_ptr<FileWeights> weights = nullptr)
      : runtime_(std::move(runtime)),
        engine_(std::move(engine)),
        cache_(make_runtime_cache(subject, *engine_, runtime_->library(), device, use)),
        budget_(subject, *engine_, runtime_->library()),
        refits_(subject, *runtime_, *engine_, std::move(weights)) {}

  nvinfer1::ICudaEngine& engine() noexcept { return *engine_; }
  const Library& library() const noexcept { return runtime_->library(); }
  WeightBudget& budget() noexcept { return budget_; }

  /// Its weights, where it takes others: changed as the budget is.
  Refits& refits() noexcept { return refits_; }

  /// What was compiled for it; null: not kept. making_context() is held for its calls, but for hits() and misses().
  RuntimeCache* cache() noexcept { return cache_.get(); }

  /// Held while TensorRT makes a context of the plan.
  std::mutex& making_context() noexcept { return making_; }

  /// The engines on it. Weights are counted by one of them.
  Sharers& sharers() noexcept { return sharers_; }

 private:
  // Each of these needs those above it.
  std::shared_ptr<Runtime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::unique_ptr<RuntimeCache> cache_;
  WeightBudget budget_;
  Refits refits_;
  std::mutex making_;
  Sharers sharers_;
};

}  // namespace torchtrt_ws::tensorrt
