#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <optional>
#include <string>

#include "blob/verification.h"
#include "cache/refit_cache_file.h"
#include "engine/tensorrt/runtime.h"
#include "engine/weights.h"

namespace torchtrt_ws::tensorrt {

/// Keeps the whole plan that a plan without weights became, so that the next load need not refit: the load-time option
/// `refit_cache`. What is wrong with the cache is said in the log, once for each load, and the load goes on without.
class RefitCache {
 public:
  /// Finds or makes `folder`. `plan`: without weights, `plan_bytes` of it; `weights`: what it gets.
  RefitCache(std::string subject, const std::string& folder, Runtime& runtime, int device, const uint8_t* plan,
             uint64_t plan_bytes, const SeparateWeights& weights, Verify verify);

  /// The engine of the plan that lies in the cache, which is compared with what was written while it is read; null
  /// where there is none that is good. Fails with DoesNotFit or EngineFault, which are not the cache's fault.
  Result<std::unique_ptr<nvinfer1::ICudaEngine>> find(bool huge_pages);

  /// Writes the plan of `engine`, which has its weights. Takes once more their size in host memory meanwhile. Nothing
  /// where they were not compared with what the program records of them.
  void keep(nvinfer1::ICudaEngine& engine);

  uint64_t hits() const noexcept { return found_ ? 1 : 0; }
  uint64_t misses() const noexcept { return kept_ ? 1 : 0; }

 private:
  void say_unusable(const std::string& why);

  const std::string subject_;
  Runtime& runtime_;
  const Verify verify_;
  std::optional<RefitCacheFile> file_;  // none: it is not used
  bool found_ = false;
  bool kept_ = false;
};

}  // namespace torchtrt_ws::tensorrt
