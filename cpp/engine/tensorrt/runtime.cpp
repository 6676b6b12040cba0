#include "engine/tensorrt/runtime.h"

#include <future>
#include <map>
#include <system_error>
#include <utility>

#include "base/file_mapping.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/plan.h"
#include "engine/tensorrt/stream_reader.h"

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

Failure no_runtime(const std::string& subject, const Library& library, const std::string& words) {
  return {ErrorCode::NotSupported, subject, words.empty() ? "no runtime, and no reason" : words,
          std::string("a driver and a GPU that ") + product_name(library.product) + " " + library.version_text() +
              " works with",
          "Install the NVIDIA driver its release notes name, or another version of " + library.path};
}

/// A plan this small is compared before the thread would have started.
constexpr uint64_t kSmallPlan = uint64_t{4} << 20;  // bytes

/// Compares the plan while TensorRT reads it: in a thread of its own, so that it costs no time where there is a second
/// processor. Pages go when they were read, as StreamReader's do.
std::future<Status> begin_comparing(const Verification& verification, const uint8_t* plan, uint64_t size) {
  const auto compare = [&verification, plan, size] {
    if (!is_file_mapping(plan, size)) return verification.compare(plan, size);
    return verification.compare(plan, size, [plan](uint64_t from, uint64_t to) { drop_pages(plan, from, to); });
  };
  if (size > kSmallPlan) {
    try {
      return std::async(std::launch::async, compare);
    } catch (const std::system_error&) {  // no thread to be had
    }
  }
  return std::async(std::launch::deferred, compare);
}

}  // namespace

Result<std::shared_ptr<Runtime>> Runtime::shared(const std::string& subject, Product product, int device) {
  std::lock_guard<std::mutex> lock(runtimes().mutex);
  std::weak_ptr<Runtime>& known = runtimes().shared[{product, device}];
  if (std::shared_ptr<Runtime> runtime = known.lock()) return runtime;
  Result<const Library*> library = load_library(product);
  if (!library.ok()) return std::move(library).failure();
  const DeviceGuard guard(device);
  if (Status current = guard.check(subject); !current.ok()) return std::move(current).failure();
  std::shared_ptr<Runtime> runtime(new Runtime(*library.value(), device));
  const ErrorScope errors;
  runtime->runtime_.reset(
      static_cast<nvinfer1::IRuntime*>(library.value()->create_runtime(&runtime->logger_, NV_TENSORRT_VERSION)));
  if (runtime->runtime_ == nullptr) return no_runtime(subject, *library.value(), errors.words());
  known = runtime;
  return runtime;
}

Result<std::unique_ptr<nvinfer1::ICudaEngine>> Runtime::deserialize(const std::string& subject, Payload payload,
                                                                    const Verification& verification) {
  const uint8_t* const plan = payload.data();
  const uint64_t size = payload.size();
  const DeviceGuard guard(device_);
  const ErrorScope errors;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  std::future<Status> compared = begin_comparing(verification, plan, size);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    StreamReader reader(plan, size);
    engine.reset(runtime_->deserializeCudaEngine(reader));
  }
  // Before TensorRT's own words: of a damaged plan they are about its internals.
  if (Status verified = compared.get(); !verified.ok()) return std::move(verified).failure();
  if (engine == nullptr) return refused_plan(subject, library_, plan, size, errors.words());
  payload.release();
  return engine;
}

}  // namespace torchtrt_ws::tensorrt
