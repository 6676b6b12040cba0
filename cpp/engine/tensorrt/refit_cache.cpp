#include "engine/tensorrt/refit_cache.h"

#include <memory>
#include <utility>

#include "digest/sha256.h"
#include "engine/log.h"
#include "engine/tensorrt/device_key.h"
#include "engine/tensorrt/traced.h"

namespace torchtrt_ws::tensorrt {
namespace {

/// What the cache says of its bytes, as Verification reads it. Compared even where the load compares nothing: a power
/// failure leaves files with holes.
Verification verification_of(const CachedPlan& plan, Verify verify, const std::string& path) {
  Metadata recorded{};
  recorded.own.emplace();
  recorded.own->crc32c = plan.crc32c();
  recorded.own->sha256 = plan.sha256();
  return {verify == Verify::Off ? Verify::Checksum : verify, recorded, path};
}

}  // namespace

RefitCache::RefitCache(std::string subject, const std::string& folder, Runtime& runtime, int device,
                       const uint8_t* plan, uint64_t plan_bytes, const SeparateWeights& weights, Verify verify)
    : subject_(std::move(subject)), runtime_(runtime), verify_(verify) {
  CacheKey key = device_key(sha256_hex(plan, static_cast<size_t>(plan_bytes)), runtime.library(), device);
  key.weights = digest_of(weights);
  auto file = RefitCacheFile::in(folder, key);
  if (file.ok()) {
    file_.emplace(std::move(file).value());
  } else {
    say_unusable(file.failure().message());
  }
}

Result<std::unique_ptr<nvinfer1::ICudaEngine>> RefitCache::find(bool huge_pages) {
  std::unique_ptr<nvinfer1::ICudaEngine> none;
  if (!file_) return none;
  auto found = file_->find(verify_);
  if (!found.ok()) {
    say_unusable(found.failure().message());
    return none;
  }
  if (!found.value()) return none;
  const auto plan = std::make_shared<CachedPlan>(std::move(*std::move(found).value()));
  const uint64_t size = plan->size();
  const Verification verification = verification_of(*plan, verify_, file_->path());
  auto engine =
      runtime_.deserialize(subject_, Payload(plan->data(), size, [plan] {}), verification, huge_pages ? size : 0);
  Status whole = engine.ok() ? runtime_.check_has_weights(subject_, *engine.value(), size) : ok_status();
  if (engine.ok() && whole.ok()) {
    found_ = true;
    return engine;
  }
  const Failure& failure = engine.ok() ? whole.failure() : engine.failure();
  if (failure.code != ErrorCode::BadEngine && failure.code != ErrorCode::Incompatible) return failure;
  log_info("warning: " + subject_ + ": the plan in the refit cache is not used, and made again: " + failure.message());
  file_->remove();
  return none;
}

void RefitCache::keep(nvinfer1::ICudaEngine& engine) {
  if (!file_ || verify_ == Verify::Off) return;
  const Traced stage("keep refitted");
  const auto plan = runtime_.serialize(subject_, engine);
  if (!plan.ok()) return say_unusable(plan.failure().message());
  const auto written = file_->write(plan.value()->data(), plan.value()->size(), verify_);
  if (!written.ok()) return say_unusable(written.failure().message());
  kept_ = written.value();
}

void RefitCache::say_unusable(const std::string& why) {
  log_info("warning: " + subject_ + " is not kept in a refit cache, so that each load refits it: " + why);
  file_.reset();
}

}  // namespace torchtrt_ws::tensorrt
