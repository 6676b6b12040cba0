#include <cstring>
#include <map>
#include <sstream>
#include <utility>

#include "../cuda/call.h"
#include "runtime_cache.h"

namespace standin {

void compile(Kernels* kernels, const std::string& name) {
  if (kernels != nullptr && !kernels->names.insert(name).second) return;
  if (kernels != nullptr && !kernels->alive) misuse("IRuntimeCache: destroyed before a context that it was set for");
  (void)enter("compileKernel", false);
}

#if STANDIN_RTX_HEADERS
namespace {

/// The first line of a serialized cache: what it was compiled for.
std::string environment() {
  std::string text =
      "standin kernels " + std::to_string(NV_TENSORRT_MINOR) + " sm" + std::to_string(setting("compute"));
  return text + " driver " + std::to_string(setting("cache_driver")) + "\n";
}

class HostMemory final : public nvinfer1::apiv::VHostMemory {
 public:
  HostMemory(nvinfer1::IHostMemory&, std::string bytes) : bytes_(std::move(bytes)) {}
  void* data() const noexcept override { return bytes_.data(); }
  std::size_t size() const noexcept override { return bytes_.size(); }
  nvinfer1::DataType type() const noexcept override { return nvinfer1::DataType::kINT8; }

 private:
  mutable std::string bytes_;
};

nvinfer1::IHostMemory* make_memory(std::string bytes) {
  return new Face<nvinfer1::IHostMemory, HostMemory>(std::move(bytes));
}

std::map<const nvinfer1::IRuntimeCache*, std::shared_ptr<Kernels>>& caches() {
  static std::map<const nvinfer1::IRuntimeCache*, std::shared_ptr<Kernels>> all;
  return all;
}

class RuntimeCache final : public nvinfer1::apiv::VRuntimeCache {
 public:
  explicit RuntimeCache(nvinfer1::IRuntimeCache& face) : face_(face) {
    caches()[&face_] = kernels_;
    count_live("runtime_cache", 1);
  }
  ~RuntimeCache() noexcept override {
    auto guard = lock();
    if (kernels_->contexts > 0) misuse("~IRuntimeCache: destroyed before contexts that it was set for");
    kernels_->alive = false;
    caches().erase(&face_);
    count_live("runtime_cache", -1);
  }

  nvinfer1::IHostMemory* serialize() const noexcept override {
    auto guard = lock();
    if (enter("IRuntimeCache::serialize")) return nullptr;
    std::string text = environment();
    for (const std::string& name : kernels_->names) text += name + "\n";
    return make_memory(std::move(text));
  }

  /// All or nothing, as TensorRT-RTX says of its own. Bytes that never were a cache's are a misuse here: the real one
  /// promises to refuse them, and is not asked to.
  bool deserialize(void const* blob, size_t size) noexcept override {
    auto guard = lock();
    if (enter("IRuntimeCache::deserialize")) return false;
    const std::string text(static_cast<const char*>(blob), size);
    if (text.rfind("standin kernels ", 0) != 0 || text.back() != '\n') {
      misuse("IRuntimeCache::deserialize: no cache");
      return false;
    }
    if (text.rfind(environment(), 0) != 0) return false;
    std::istringstream lines(text.substr(environment().size()));
    for (std::string name; std::getline(lines, name);) kernels_->names.insert(name);
    return true;
  }

  bool reset() noexcept override { absent("IRuntimeCache::reset"); }

 private:
  nvinfer1::IRuntimeCache& face_;
  std::shared_ptr<Kernels> kernels_ = std::make_shared<Kernels>();
};

nvinfer1::IRuntimeCache* make_cache() { return new Face<nvinfer1::IRuntimeCache, RuntimeCache>(); }

std::map<const nvinfer1::IRuntimeConfig*, ConfigState*>& configs() {
  static std::map<const nvinfer1::IRuntimeConfig*, ConfigState*> all;
  return all;
}

class RuntimeConfig final : public nvinfer1::apiv::VRuntimeConfig {
 public:
  explicit RuntimeConfig(nvinfer1::IRuntimeConfig& face) : face_(face) {
    configs()[&face_] = &state_;
    count_live("runtime_config", 1);
  }
  ~RuntimeConfig() noexcept override {
    auto guard = lock();
    configs().erase(&face_);
    count_live("runtime_config", -1);
  }

  nvinfer1::IRuntimeConfig* getPImpl() noexcept override { return &face_; }
  void setExecutionContextAllocationStrategy(nvinfer1::ExecutionContextAllocationStrategy strategy) noexcept override {
    state_.strategy = strategy;
  }
  nvinfer1::ExecutionContextAllocationStrategy getExecutionContextAllocationStrategy() const noexcept override {
    return state_.strategy;
  }
  nvinfer1::IRuntimeCache* createRuntimeCache() const noexcept override {
    auto guard = lock();
    if (enter("createRuntimeCache")) return nullptr;
    return make_cache();
  }
  bool setRuntimeCache(nvinfer1::IRuntimeCache const& cache) noexcept override {
    auto guard = lock();
    if (enter("setRuntimeCache")) return false;
    const auto found = caches().find(&cache);
    if (found == caches().end()) {
      misuse("setRuntimeCache: no live cache");
      return false;
    }
    state_.kernels = found->second;
    return true;
  }
  nvinfer1::IRuntimeCache* getRuntimeCache() const noexcept override { absent("IRuntimeConfig::getRuntimeCache"); }
  void setDynamicShapesKernelSpecializationStrategy(
      nvinfer1::DynamicShapesKernelSpecializationStrategy) noexcept override {
    absent("IRuntimeConfig::setDynamicShapesKernelSpecializationStrategy");
  }
  nvinfer1::DynamicShapesKernelSpecializationStrategy getDynamicShapesKernelSpecializationStrategy()
      const noexcept override {
    return nvinfer1::DynamicShapesKernelSpecializationStrategy::kLAZY;
  }
  bool setCudaGraphStrategy(nvinfer1::CudaGraphStrategy) noexcept override {
    absent("IRuntimeConfig::setCudaGraphStrategy");
  }
  nvinfer1::CudaGraphStrategy getCudaGraphStrategy() const noexcept override {
    return nvinfer1::CudaGraphStrategy::kDISABLED;
  }

 private:
  nvinfer1::IRuntimeConfig& face_;
  ConfigState state_;
};

}  // namespace

nvinfer1::IRuntimeConfig* make_runtime_config() { return new Face<nvinfer1::IRuntimeConfig, RuntimeConfig>(); }

const ConfigState& config_state(nvinfer1::IRuntimeConfig& config) { return *configs().at(&config); }
#endif

}  // namespace standin
