#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "blob/verification.h"
#include "engine/payload.h"
#include "engine/tensorrt/library.h"
#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/replace_weights.h"
#include "engine/tensorrt/validity_words.h"
#include "engine/weights.h"

namespace torchtrt_ws::tensorrt {

/// TensorRT's IRuntime of one product on one device: shared by the engines there, gone with the last of them.
class Runtime {
 public:
  /// The process's runtime of `product` for `device`, made when there is none. `device` exists (check_device()).
  /// Fails with NotSupported (no library, or a driver it does not work with), DoesNotFit or EngineFault.
  static Result<std::shared_ptr<Runtime>> shared(const std::string& subject, Product product, int device);

  /// Deserializes `payload` on this runtime's device, giving its pages back as they are read, and then releases it.
  /// Engine host code stays disallowed (IRuntime::setEngineHostCodeAllowed): a plan is data here.
  /// The payload is compared with what `verification` knows of it: a checksum as it is read, a digest in a thread
  /// beside TensorRT's reading. `huge_buffer`: bytes of the memory that TensorRT is to be expected to fill with
  /// weights, for which huge pages are asked, if they are many; 0: not asked. Fails with BadEngine, Incompatible,
  /// DoesNotFit or EngineFault.
  Result<std::unique_ptr<nvinfer1::ICudaEngine>> deserialize(const std::string& subject, Payload payload,
                                                             const Verification& verification, uint64_t huge_buffer);

  /// Fails with BadEngine if `engine`, which this runtime deserialized, lacks its weights (refit.h).
  Status check_has_weights(const std::string& subject, nvinfer1::ICudaEngine& engine, uint64_t plan_bytes);

  /// Gives `engine`, which this runtime deserialized from a plan without weights, those of `weights`, which are
  /// compared with what the program records of them while TensorRT reads them (refit.h). Nothing runs meanwhile. Fails
  /// with BadEngine, NotSupported, DoesNotFit or EngineFault; the engine is of no use then.
  Status refit(const std::string& subject, nvinfer1::ICudaEngine& engine, const Weights& weights, Verify verify);

  /// The plan of `engine`, which this runtime deserialized, with the weights that it has now. Fails with NotSupported
  /// or DoesNotFit.
  Result<std::unique_ptr<nvinfer1::IHostMemory>> serialize(const std::string& subject, nvinfer1::ICudaEngine& engine);

  /// What replace_weights.h says, of an `engine` that this runtime deserialized.
  Result<std::vector<RefittableWeight>> replaceable_weights(const std::string& subject, nvinfer1::ICudaEngine& engine);
  Status replace_weights(const std::string& subject, nvinfer1::ICudaEngine& engine,
                         const std::vector<Replacement>& weights, const KnownWeight& known, bool& began);

  /// What TensorRT-RTX says of the first bytes of `plan`. Fails with NotSupported where this adapter's headers have no
  /// such call, or for a plan that is shorter than its header.
  Result<HeaderValidity> validity(const std::string& subject, const uint8_t* plan, uint64_t size);

  const Library& library() const noexcept { return library_; }

 private:
  Runtime(const Library& library, int device) : library_(library), device_(device) {}

  const Library& library_;
  const int device_;
  Logger logger_;     // outlives runtime_ and its engines, as ILogger asks
  std::mutex mutex_;  // held while runtime_ works: TensorRT promises threads only for contexts
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
};

}  // namespace torchtrt_ws::tensorrt
