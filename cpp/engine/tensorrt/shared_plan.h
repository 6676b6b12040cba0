#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/tensorrt/runtime.h"
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
             std::unique_ptr<nvinfer1::ICudaEngine> engine)
      : runtime_(std::move(runtime)), engine_(std::move(engine)), budget_(subject, *engine_, runtime_->library()) {}

  nvinfer1::ICudaEngine& engine() noexcept { return *engine_; }
  const Library& library() const noexcept { return runtime_->library(); }
  WeightBudget& budget() noexcept { return budget_; }

  /// Held while TensorRT makes a context of the plan.
  std::mutex& making_context() noexcept { return making_; }

  void join(const void* user);
  void leave(const void* user) noexcept;
  void note_context(const void* user, bool has_context) noexcept;
  bool any_context() const noexcept;

  /// What `user` counts as its own. Weights are counted once: by the first user with a context, or by whoever asks when
  /// nobody has one.
  Holder holder(const void* user) const noexcept;

  /// Whether `user` counts the weights in a report of all users: as above, but the first one when nobody has a context.
  bool reports_weights(const void* user) const noexcept;

 private:
  struct User {
    const void* engine;
    bool has_context;
  };

  // Each of these needs those above it.
  std::shared_ptr<Runtime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  WeightBudget budget_;
  std::mutex making_;

  mutable std::mutex mutex_;  // guards users_
  std::vector<User> users_;   // in the order in which they joined
};

}  // namespace torchtrt_ws::tensorrt
