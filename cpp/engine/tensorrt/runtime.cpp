#include "engine/tensorrt/runtime.h"

#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "base/huge_pages.h"
#include "engine/compare_payload.h"
#include "engine/log.h"
#include "engine/python_lock.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/plan.h"
#include "engine/tensorrt/refit.h"
#include "engine/tensorrt/stream_reader.h"
#include "engine/tensorrt/traced.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {
namespace {

struct Runtimes {
  std::mutex mutex;  // guards `shared`; held while a runtime is made, so that there is only one
  std::map<std::pair<Product, int>, std::weak_ptr<Runtime>> shared;
};

Runtimes& runtimes() {
  static auto* runtimes = new Runtimes;  // leaked: programs may be loaded while the process ends
  return *runtimes;
}

std::string and_tensorrt_says(const std::string& words) {
  return words.empty() ? std::string() : ", and TensorRT says: " + words;
}

/// Why there is no IRuntime. `before`: cudaPeekAtLastError() before it was asked for.
Failure no_runtime(const std::string& subject, const Library& library, const std::string& words, cudaError_t before) {
  const cudaError_t since = error_since(before);
  const cudaError_t error = named_cuda_error(words).value_or(since);
  if (error != cudaSuccess) {
    Failure failed = cuda_failure(subject, "createInferRuntime", error);
    failed.found += and_tensorrt_says(words);
    return failed;
  }
  if (says_out_of_memory(words)) {
    return {ErrorCode::DoesNotFit, subject, words, "enough free memory for TensorRT's runtime",
            "Free memory on the device and in the host"};
  }
  return {ErrorCode::NotSupported, subject, words.empty() ? "no runtime, and no reason" : words,
          std::string("a driver and a GPU that ") + product_name(library.product) + " " + library.version_text() +
              " works with",
          "Install the NVIDIA driver its release notes name, or another version of " + library.path};
}

/// A plan this small is compared before the thread would have started.
constexpr uint64_t kSmallPlan = uint64_t{4} << 20;  // bytes

/// Compares the plan with its digest while TensorRT reads it: in a thread of its own, so that it costs little time
/// where there is a second processor. Pages go when they were read, as StreamReader's do. A checksum is the reader's.
std::future<Status> begin_comparing(const Verification& verification, const uint8_t* plan, uint64_t size,
                                    Interval& took) {
  const auto compare = [&verification, plan, size, &took] {
    const Range range("verify");
    took.start = executorch::runtime::pal_current_ticks();
    Status compared = compare_payload(verification, plan, size);
    took.end = executorch::runtime::pal_current_ticks();
    return compared;
  };
  if (size > kSmallPlan) {
    try {
      return std::async(std::launch::async, compare);
    } catch (const std::system_error&) {  // no thread to be had
    }
  }
  return std::async(std::launch::deferred, compare);
}

/// The same for weights. They are read by several threads, ahead of TensorRT's one: from a cold disk it finds them in
/// memory.
std::future<Status> begin_comparing(const Weights& weights, Verify verify, Interval& took) {
  const auto compare = [&weights, verify, &took] {
    const Range range("verify weights");
    took.start = executorch::runtime::pal_current_ticks();
    Status compared = weights.compare(verify);
    took.end = executorch::runtime::pal_current_ticks();
    return compared;
  };
  if (weights.bytes() > kSmallPlan) {
    try {
      return std::async(std::launch::async, compare);
    } catch (const std::system_error&) {  // no thread to be had
    }
  }
  return std::async(std::launch::deferred, compare);
}

/// Compares the checksum of what was read, and of what was not.
Status compare_read(const Verification& verification, const StreamReader& reader, uint64_t size, Interval& took) {
  const Range range("verify");
  took.start = executorch::runtime::pal_current_ticks();
  Status compared = verification.compare_checksum(reader.checksum(), size);
  took.end = executorch::runtime::pal_current_ticks();
  return compared;
}

/// The least buffer for which huge pages are asked for.
constexpr uint64_t kBufferForHugePages = uint64_t{256} << 20;  // bytes

void say_no_huge_pages() {
  static std::once_flag said;
  std::call_once(said, [] {
    log_info(
        "this system gives no huge pages on request, so that large engines load more slowly than they could: "
        "/sys/kernel/mm/transparent_hugepage/enabled would have to say madvise");
  });
}

}  // namespace

Result<std::shared_ptr<Runtime>> Runtime::shared(const std::string& subject, Product product, int device) {
  const auto lock = lock_patiently(runtimes().mutex);
  std::weak_ptr<Runtime>& known = runtimes().shared[{product, device}];
  if (std::shared_ptr<Runtime> runtime = known.lock()) return runtime;
  Result<const Library*> library = load_library(product);
  if (!library.ok()) return std::move(library).failure();
  const DeviceGuard guard(device);
  if (Status current = guard.check(subject); !current.ok()) return std::move(current).failure();
  std::shared_ptr<Runtime> runtime(new Runtime(*library.value(), device));
  const cudaError_t before = cudaPeekAtLastError();
  const ErrorScope errors;
  runtime->runtime_.reset(
      static_cast<nvinfer1::IRuntime*>(library.value()->create_runtime(&runtime->logger_, NV_TENSORRT_VERSION)));
  if (runtime->runtime_ == nullptr) return no_runtime(subject, *library.value(), errors.words(), before);
  known = runtime;
  return runtime;
}

Result<std::unique_ptr<nvinfer1::ICudaEngine>> Runtime::deserialize(const std::string& subject, Payload payload,
                                                                    const Verification& verification,
                                                                    uint64_t huge_buffer) {
  const uint8_t* const plan = payload.data();
  const uint64_t size = payload.size();
  const DeviceGuard guard(device_);
  const ErrorScope errors;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  Interval verified_in;
  const bool checksum = verification.compares_checksum_only();
  std::future<Status> compared;
  if (!checksum) compared = begin_comparing(verification, plan, size, verified_in);
  StreamReader reader(plan, size, checksum);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    std::optional<HugePageWatcher> watcher;
    if (huge_buffer >= kBufferForHugePages) watcher.emplace(huge_buffer);
    const Traced stage("deserialize");
    engine.reset(runtime_->deserializeCudaEngine(reader));
    if (watcher && watcher->stop() == HugePageWatcher::Outcome::Refused) say_no_huge_pages();
  }
  // Before TensorRT's own words: of a damaged plan they are about its internals.
  Status verified = checksum ? compare_read(verification, reader, size, verified_in) : compared.get();
  note_stage("read", reader.reads());
  if (verification.compares()) note_stage("verify", verified_in);
  if (!verified.ok()) return std::move(verified).failure();
  if (engine == nullptr && reader.error() != cudaSuccess) {
    Failure failed = cuda_failure(subject, reader.failed_call(), reader.error());
    failed.found += and_tensorrt_says(errors.words());
    return failed;
  }
  if (engine == nullptr) return refused_plan(subject, library_, plan, size, errors.words());
  payload.release();
  return engine;
}

Status Runtime::check_has_weights(const std::string& subject, nvinfer1::ICudaEngine& engine, uint64_t plan_bytes) {
  const DeviceGuard guard(device_);
  std::lock_guard<std::mutex> lock(mutex_);
  return tensorrt::check_has_weights(subject, library_, engine, logger_, plan_bytes);
}

Status Runtime::refit(const std::string& subject, nvinfer1::ICudaEngine& engine, const Weights& weights,
                      Verify verify) {
  const DeviceGuard guard(device_);
  Interval verified_in;
  std::future<Status> compared = begin_comparing(weights, verify, verified_in);
  Status refitted = ok_status();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const Traced stage("refit");
    refitted = tensorrt::refit(subject, library_, engine, logger_, weights);
  }
  // Before TensorRT's own words: of weights that were changed they are about the wrong thing, if there are any.
  Status verified = compared.get();
  if (verify != Verify::Off) note_stage("verify weights", verified_in);
  return verified.ok() ? refitted : verified;
}

Result<std::unique_ptr<nvinfer1::IHostMemory>> Runtime::serialize(const std::string& subject,
                                                                  nvinfer1::ICudaEngine& engine) {
  const DeviceGuard guard(device_);
  const ErrorScope errors;
  std::lock_guard<std::mutex> lock(mutex_);
  const Traced stage("serialize");
  const std::unique_ptr<nvinfer1::ISerializationConfig> config(engine.createSerializationConfig());
  // A plan that was built without its weights is serialized without them unless told otherwise.
  const bool told = config != nullptr && config->clearFlag(nvinfer1::SerializationFlag::kEXCLUDE_WEIGHTS);
  std::unique_ptr<nvinfer1::IHostMemory> plan(told ? engine.serializeWithConfig(*config) : nullptr);
  if (plan != nullptr) return plan;
  const std::string words = errors.words();
  if (says_out_of_memory(words)) {
    return Failure{ErrorCode::DoesNotFit, subject, words, "enough host memory for its plan", "Free memory in the host"};
  }
  return Failure{ErrorCode::NotSupported, subject, words.empty() ? "no plan from TensorRT, and no reason" : words,
                 "its plan with its weights", "Load it without a refit cache"};
}

Result<std::vector<RefittableWeight>> Runtime::replaceable_weights(const std::string& subject,
                                                                   nvinfer1::ICudaEngine& engine) {
  const DeviceGuard guard(device_);
  std::lock_guard<std::mutex> lock(mutex_);
  return tensorrt::replaceable_weights(subject, library_, engine, logger_);
}

Status Runtime::replace_weights(const std::string& subject, nvinfer1::ICudaEngine& engine,
                                const std::vector<Replacement>& weights, const KnownWeight& known, bool& began) {
  const DeviceGuard guard(device_);
  std::lock_guard<std::mutex> lock(mutex_);
  return tensorrt::replace_weights(subject, library_, engine, logger_, weights, known, began);
}

Result<HeaderValidity> Runtime::validity(const std::string& subject, const uint8_t* plan, uint64_t size) {
#if NV_TENSORRT_MAJOR < 8  // TensorRT-RTX's own headers, from 1.3 on; TensorRT's have no such call
  using Validity = nvinfer1::EngineValidity;
  static_assert(static_cast<int32_t>(Validity::kSUBOPTIMAL) == kSuboptimal &&
                static_cast<uint64_t>(nvinfer1::EngineInvalidityDiagnostics::kCUDA_ERROR) == kCudaError);
  const DeviceGuard guard(device_);
  std::lock_guard<std::mutex> lock(mutex_);
  const int64_t header = runtime_->getEngineHeaderSize();
  if (header >= 0 && static_cast<uint64_t>(header) <= size) {
    HeaderValidity said{};
    const Validity validity = runtime_->getEngineValidity(plan, header, &said.diagnostics);
    said.validity = static_cast<int32_t>(validity);
    return said;
  }
  return Failure{ErrorCode::NotSupported, subject, "a plan of " + std::to_string(size) + " bytes",
                 "its header, " + std::to_string(header) + " bytes", "Copy or save it again"};
#else
  (void)plan;
  (void)size;
  return Failure{ErrorCode::NotSupported, subject,
                 "the adapter was compiled with headers of TensorRT " + std::to_string(NV_TENSORRT_MAJOR) + "." +
                     std::to_string(NV_TENSORRT_MINOR) + ", which have no getEngineValidity",
                 "those of TensorRT-RTX", "Build libtorchtrt_ws_tensorrt with them"};
#endif
}

}  // namespace torchtrt_ws::tensorrt
