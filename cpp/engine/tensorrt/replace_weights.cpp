#include "engine/tensorrt/replace_weights.h"

#include <memory>
#include <utility>

#include "base/quote.h"
#include "engine/tensorrt/data_type.h"
#include "engine/tensorrt/refitter.h"

namespace torchtrt_ws::tensorrt {
namespace {

constexpr const char* kHowToBuild =
    "Build the engine for new weights (BuilderFlag.REFIT; save(..., engine=\"tensorrt_rtx\", refit=True) does), or "
    "save the program again";

/// The engine is a good one, whatever TensorRT says: it was loaded.
Failure fault(Failure failure) {
  if (failure.code != ErrorCode::BadEngine) return failure;
  failure.code = ErrorCode::EngineFault;
  failure.next_step = "Try again; TensorRT may not take these values for this engine";
  return failure;
}

Failure refused(const std::string& subject, const ErrorScope& errors, const std::string& expected) {
  return fault(refit_failed(subject, errors.words(), expected));
}

bool set(nvinfer1::IRefitter& refitter, const char* name, int64_t count, const void* data) {
  const nvinfer1::DataType type = refitter.getWeightsPrototype(name).type;
  return refitter.setNamedWeights(name, {type, data, count}, nvinfer1::TensorLocation::kHOST);
}

/// Sets what must come with the weights that are set, such as those of a layer that was fused with theirs.
Status complete(const std::string& subject, nvinfer1::IRefitter& refitter, const KnownWeight& known,
                const ErrorScope& errors) {
  WeightNames unknown;
  for (const char* name : missing_weights(refitter)) {
    const void* const data = known(name);
    if (data == nullptr) {
      unknown.push_back(name);
    } else if (!set(refitter, name, refitter.getWeightsPrototype(name).count, data)) {
      return refused(subject + ": weight " + in_quotes(name), errors, "a weight that TensorRT takes");
    }
  }
  if (unknown.empty()) return check_unnamed(subject, refitter);
  return Failure{ErrorCode::BadArgument, subject,
                 "weights that depend on " + std::to_string(unknown.size()) + " others: " + some_of(unknown),
                 "all that TensorRT refits together", "Pass these too, changed or not"};
}

}  // namespace

Result<std::vector<RefittableWeight>> replaceable_weights(const std::string& subject, const Library& library,
                                                          nvinfer1::ICudaEngine& engine, Logger& logger) {
  if (!engine.isRefittable()) {  // TensorRT-RTX 1.6.1 says so of REFIT_IDENTICAL, too
    return Failure{ErrorCode::NotSupported, subject,
                   "an engine that was not built for other weights (one of REFIT_IDENTICAL takes those it was built "
                   "with, and TensorRT would not notice others)",
                   "one that ICudaEngine::isRefittable() is true of", kHowToBuild};
  }
  const ErrorScope errors;
  auto made = refitter_of(subject, library, engine, logger, errors);
  if (!made.ok()) return fault(std::move(made).failure());
  nvinfer1::IRefitter& refitter = *made.value();
  std::vector<RefittableWeight> weights;
  for (const char* name : all_weights(refitter)) {
    const nvinfer1::Weights wanted = refitter.getWeightsPrototype(name);
    const auto [dtype, bits] = weight_type(wanted.type);
    weights.push_back({name, dtype == nullptr ? type_name(wanted.type) : dtype, wanted.count,
                       dtype == nullptr ? -1 : bytes_of(wanted.count, bits)});
  }
  if (!weights.empty()) return weights;
  return Failure{ErrorCode::NotSupported, subject, "an engine whose weights have no names", "weights with names",
                 "Name them when building (INetworkDefinition::setWeightsName)"};
}

Status replace_weights(const std::string& subject, const Library& library, nvinfer1::ICudaEngine& engine,
                       Logger& logger, const std::vector<Replacement>& weights, const KnownWeight& known, bool& began) {
  began = false;
  const ErrorScope errors;
  auto made = refitter_of(subject, library, engine, logger, errors);
  if (!made.ok()) return fault(std::move(made).failure());
  nvinfer1::IRefitter& refitter = *made.value();
  for (const Replacement& each : weights) {
    if (set(refitter, each.name.c_str(), each.count, each.data)) continue;
    return refused(subject + ": weight " + in_quotes(each.name), errors, "a weight that TensorRT takes");
  }
  Status complete_now = complete(subject, refitter, known, errors);
  if (!complete_now.ok()) return complete_now;
  began = true;
  if (refitter.refitCudaEngine()) return ok_status();
  return refused(subject, errors, "an engine with " + std::to_string(weights.size()) + " new weights");
}

}  // namespace torchtrt_ws::tensorrt
