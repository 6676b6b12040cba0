#include "engine/tensorrt/runtime_cache.h"

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "cache/runtime_cache_file.h"
#include "engine/log.h"
#include "engine/tensorrt/device_key.h"
#include "engine/tensorrt/logger.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws::tensorrt {

#ifdef TRT_MAJOR_RTX  // TensorRT-RTX's own headers, from 1.0 on; TensorRT's have no IRuntimeCache
namespace {

using Strategy = nvinfer1::ExecutionContextAllocationStrategy;

class RtxRuntimeCache final : public RuntimeCache {
 public:
  RtxRuntimeCache(std::string subject, nvinfer1::ICudaEngine& engine, const Library& library, int device,
                  RuntimeCacheUse use)
      : subject_(std::move(subject)), engine_(engine), library_(library), device_(device), use_(std::move(use)) {}

  nvinfer1::IExecutionContext* make_context(Strategy strategy) override {
    if (!prepared_) prepare();
    prepared_ = true;
    nvinfer1::IRuntimeConfig* const config = cache_ == nullptr ? nullptr : config_for(strategy);
    return config == nullptr ? engine_.createExecutionContext(strategy) : engine_.createExecutionContext(config);
  }

  void save() noexcept override try {
    if (cache_ == nullptr || !file_) return;
    const ErrorScope errors;  // words of a failure are no error of the caller's
    const std::unique_ptr<nvinfer1::IHostMemory> bytes(cache_->serialize());
    if (bytes == nullptr || bytes->size() <= in_file_) return;
    const auto written = file_->write(bytes->data(), bytes->size(), refused_);
    if (!written.ok()) {
      say_unusable(written.failure());
      file_.reset();
      return;
    }
    in_file_ = bytes->size();  // or another process has as much there
    refused_ = false;
    if (written.value() && !found_) wrote_ = true;
  } catch (...) {  // no memory for a cache is no reason to fail
  }

  uint64_t hits() const noexcept override { return found_ ? 1 : 0; }
  uint64_t misses() const noexcept override { return wrote_ ? 1 : 0; }

 private:
  /// The cache, with what lies in the file. Without either, contexts are made without.
  void prepare() {
    const ErrorScope errors;
    auto file = RuntimeCacheFile::in(use_.folder, device_key(use_.plan, library_, device_));
    if (!file.ok()) return say_unusable(file.failure());
    file_.emplace(std::move(file).value());
    auto config = make_config();
    if (config == nullptr) return say_unusable(errors.words());
    cache_.reset(config->createRuntimeCache());
    if (cache_ == nullptr) return say_unusable(errors.words());
    load();
  }

  void load() {
    const auto found = file_->read();
    if (!found.ok()) {
      say_unusable(found.failure());
      file_.reset();
      return;
    }
    const std::vector<uint8_t>& bytes = found.value();
    if (bytes.empty()) return;
    const ErrorScope errors;
    found_ = cache_->deserialize(bytes.data(), bytes.size());
    if (found_) {
      in_file_ = bytes.size();
      return;
    }
    refused_ = true;
    const std::string words = errors.words();
    log_info(subject_ + ": TensorRT-RTX does not take the runtime cache " + file_->path() +
             (words.empty() ? "" : " (" + words + ")") + ": kernels are compiled, and it is written again");
  }

  std::unique_ptr<nvinfer1::IRuntimeConfig> make_config() {
    return std::unique_ptr<nvinfer1::IRuntimeConfig>(engine_.createRuntimeConfig());
  }

  /// One for each strategy, for as long as this lives: a context knows its own (IExecutionContext::getRuntimeConfig).
  nvinfer1::IRuntimeConfig* config_for(Strategy strategy) {
    auto& config = configs_[strategy == Strategy::kUSER_MANAGED ? 1 : 0];
    if (config != nullptr) return config.get();
    const ErrorScope errors;
    auto made = make_config();
    if (made == nullptr || !made->setRuntimeCache(*cache_)) {
      say_unusable(errors.words());
      if (configs_[0] == nullptr && configs_[1] == nullptr) cache_.reset();  // nobody fills it
      return nullptr;
    }
    made->setExecutionContextAllocationStrategy(strategy);
    config = std::move(made);
    return config.get();
  }

  void say_unusable(const Failure& failure) const { say_unusable(failure.message()); }

  void say_unusable(const std::string& why) const {
    log_info("warning: " + subject_ + " has no runtime cache, so that kernels are compiled with each load: " +
             (why.empty() ? "no reason from TensorRT-RTX" : why));
  }

  const std::string subject_;
  nvinfer1::ICudaEngine& engine_;
  const Library& library_;
  const int device_;
  const RuntimeCacheUse use_;
  bool prepared_ = false;
  std::optional<RuntimeCacheFile> file_;  // none: what is compiled stays in this process
  std::unique_ptr<nvinfer1::IRuntimeCache> cache_;
  std::array<std::unique_ptr<nvinfer1::IRuntimeConfig>, 2> configs_;  // gone before the cache that they were told
  size_t in_file_ = 0;              // bytes of the cache in the file, as far as this process knows
  bool refused_ = false;            // by TensorRT-RTX: of another driver, say
  std::atomic<bool> found_{false};  // read by whoever asks for counters
  std::atomic<bool> wrote_{false};
};

}  // namespace

bool keeps_runtime_cache(Product product, const std::string& asked) {
  return product == Product::TensorRTRTX && asked != kCacheOff;
}

std::unique_ptr<RuntimeCache> make_runtime_cache(const std::string& subject, nvinfer1::ICudaEngine& engine,
                                                 const Library& library, int device, const RuntimeCacheUse& use) {
  if (use.plan.empty()) return nullptr;
  return std::make_unique<RtxRuntimeCache>(subject, engine, library, device, use);
}

#else

bool keeps_runtime_cache(Product, const std::string& asked) {
  static std::once_flag said;
  if (asked.empty() || asked == kCacheOff) return false;
  std::call_once(said, [] {
    log_info(std::string(kRuntimeCacheKey) + " has no effect: this adapter was compiled with headers of TensorRT " +
             std::to_string(NV_TENSORRT_MAJOR) + "." + std::to_string(NV_TENSORRT_MINOR) +
             ", which have no runtime cache; TensorRT-RTX's own have one");
  });
  return false;
}

std::unique_ptr<RuntimeCache> make_runtime_cache(const std::string&, nvinfer1::ICudaEngine&, const Library&, int,
                                                 const RuntimeCacheUse&) {
  return nullptr;
}

#endif

}  // namespace torchtrt_ws::tensorrt
