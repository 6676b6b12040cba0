#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <memory>
#include <string>

#include "engine/tensorrt/library.h"

namespace torchtrt_ws::tensorrt {

/// The kernels that TensorRT-RTX compiled for one plan (IRuntimeCache), and the file they lie in between processes
/// (cache/runtime_cache_file.h): contexts are made with it, and what it holds is not compiled again.
///
/// TensorRT-RTX compiles while a context is made, and for new shapes while it runs, in threads of its own. So the file
/// is written when the first context has been made, which is most of it and survives a process that is killed, and when
/// contexts go, if the cache has grown since: never in a run, and never while one may be in flight.
///
/// The caller serializes the calls, and destroys all contexts before it.
class RuntimeCache {
 public:
  virtual ~RuntimeCache() = default;

  /// A context as ICudaEngine::createExecutionContext() makes it; null, and words for the ErrorScope, when it fails.
  virtual nvinfer1::IExecutionContext* make_context(nvinfer1::ExecutionContextAllocationStrategy strategy) = 0;

  /// Writes the file if there is more in the cache than in it. Nothing of the plan runs.
  virtual void save() noexcept = 0;

  /// 1 when what was needed lay in the file.
  virtual uint64_t hits() const noexcept = 0;
  /// 1 when it did not, and lies there now.
  virtual uint64_t misses() const noexcept = 0;
};

/// What a runtime cache is kept for, and where: the load-time option `runtime_cache`.
struct RuntimeCacheUse {
  std::string folder;  // empty: the default one
  std::string plan;    // plan_digest(); empty: no cache
};

/// Whether this adapter keeps a cache for plans of `product` under the load-time option `asked`: a folder, "off", or
/// empty for what is usual. Only TensorRT-RTX's own headers declare IRuntimeCache; without them a folder that was asked
/// for is answered with a line of log, once.
bool keeps_runtime_cache(Product product, const std::string& asked);

/// The cache of `engine`, on the current device `device`; null where `use` says none. Reads nothing yet. `engine` and
/// `library` outlive it.
std::unique_ptr<RuntimeCache> make_runtime_cache(const std::string& subject, nvinfer1::ICudaEngine& engine,
                                                 const Library& library, int device, const RuntimeCacheUse& use);

}  // namespace torchtrt_ws::tensorrt
