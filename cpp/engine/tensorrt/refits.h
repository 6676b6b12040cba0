#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/tensorrt/file_weights.h"
#include "engine/tensorrt/replace_weights.h"
#include "engine/tensorrt/runtime.h"

namespace torchtrt_ws::tensorrt {

/// New weights for one deserialized plan: what it takes, what is known of the weights it has, and whether they belong
/// together. The caller serializes refit() and what it returns with all other calls of the plan's engines.
class Refits {
 public:
  /// `runtime` and `engine` outlive it. `own`: the weights of its load, or null.
  Refits(std::string subject, Runtime& runtime, nvinfer1::ICudaEngine& engine, std::unique_ptr<FileWeights> own);

  /// Whether it was built for other weights.
  bool takes_any() const noexcept { return engine_.isRefittable(); }

  /// Engine::refittable_weights(). Safe to use from several threads. Asks TensorRT at load, and again only where that
  /// failed.
  Result<std::vector<RefittableWeight>> takes();

  /// Engine::refit(), without the budget.
  Result<UndoRefit> refit(const std::vector<NewWeight>& weights);

  /// Fails with WrongState while TensorRT may have some weights of a refit that failed, and some of before.
  Status check_whole() const;

  /// Whether the weights are no longer those that it was loaded with.
  bool changed() const noexcept { return !given_.empty() || !lost_.empty(); }

 private:
  using Bytes = std::shared_ptr<const std::vector<uint8_t>>;
  struct Old {
    int64_t count;
    Bytes bytes;  // null: not of a refit
  };
  using Before = std::map<std::string, Old>;  // of the weights that a refit replaced

  const void* known(const std::string& name) const;
  Status check_lost(const std::vector<NewWeight>& weights) const;
  Status put_back(const Before& before, const std::set<std::string>& lost_before);
  Status replace(const std::vector<Replacement>& weights, bool& began);

  const std::string subject_;
  Runtime& runtime_;
  nvinfer1::ICudaEngine& engine_;
  std::mutex mutex_;  // guards takes_
  Result<std::vector<RefittableWeight>> takes_;
  std::unique_ptr<FileWeights> own_;
  std::map<std::string, Bytes> given_;  // by refits
  std::set<std::string> lost_;          // what TensorRT has of these nobody knows
};

}  // namespace torchtrt_ws::tensorrt
