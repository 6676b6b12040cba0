#include "engine/tensorrt/runtime.h"

#include <map>
#include <utility>

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
                                                                    Verification& verification) {
  const uint8_t* const plan = payload.data();
  const uint64_t size = payload.size();
  const DeviceGuard guard(device_);
  const ErrorScope errors;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    StreamReader reader(plan, size, verification);
    engine.reset(runtime_->deserializeCudaEngine(reader));
  }
  // Before TensorRT's own words: of a damaged plan they are about its internals.
  if (Status verified = verification.finish(plan, size); !verified.ok()) return std::move(verified).failure();
  if (engine == nullptr) return refused_plan(subject, library_, plan, size, errors.words());
  payload.release();
  return engine;
}

}  // namespace torchtrt_ws::tensorrt
