#include "engine/tensorrt/refit.h"

#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/quote.h"
#include "engine/tensorrt/data_type.h"
#include "engine/tensorrt/refitter.h"

namespace torchtrt_ws::tensorrt {
namespace {

using nvinfer1::DataType;

/// The engine's side of one weight.
Status check(const std::string& subject, nvinfer1::IRefitter& refitter, const Weight& weight, const std::string& file) {
  const WeightFacts& facts = weight.facts;
  const nvinfer1::Weights wanted = refitter.getWeightsPrototype(facts.name.c_str());
  const auto [name, bits] = weight_type(wanted.type);
  const auto differs = [&](std::string found, std::string expected) {
    return bad_weight(subject, facts.name, file, std::move(found), std::move(expected) + ", as the engine says");
  };
  if (name == nullptr || facts.dtype != name)
    return differs(facts.dtype, name == nullptr ? type_name(wanted.type) : name);
  if (facts.count != wanted.count) {
    return differs(std::to_string(facts.count) + " elements", std::to_string(wanted.count));
  }
  if (bytes_of(facts.count, bits) != facts.bytes) {
    return differs(std::to_string(facts.bytes) + " bytes",
                   "those of " + std::to_string(facts.count) + " elements of " + name);
  }
  return ok_status();
}

/// What is listed and what the engine knows are the same weights.
Status compare_names(const std::string& subject, nvinfer1::IRefitter& refitter, const Weights& weights) {
  // Not getMissingWeights(): TensorRT-RTX 1.6.1 names none for a plan of STRIP_PLAN and REFIT_IDENTICAL, refits it
  // without any, and it computes garbage.
  const WeightNames all = all_weights(refitter);
  const std::unordered_set<std::string_view> known(all.begin(), all.end());
  std::unordered_set<std::string_view> listed;
  for (size_t i = 0; i < weights.size(); ++i) {
    const std::string& name = weights[i].facts.name;
    listed.insert(name);
    if (known.count(name) == 0) {
      return bad_weight(subject, name, weights.file(), "a weight that the engine does not have",
                        std::to_string(all.size()) + " weights" + (all.empty() ? "" : ": " + some_of(all)));
    }
  }
  for (const char* name : all) {
    if (listed.count(name) != 0) continue;
    return bad_weight(subject, name, weights.file(), "nothing of it in the program's list of weights",
                      "all " + std::to_string(all.size()) + " that the engine lacks");
  }
  return ok_status();
}

}  // namespace

Status check_has_weights(const std::string& subject, const Library& library, nvinfer1::ICudaEngine& engine,
                         Logger& logger, uint64_t plan_bytes) {
  // Not by ICudaEngine::isRefittable(): TensorRT-RTX 1.6.1 says false of one of STRIP_PLAN and REFIT_IDENTICAL.
  const int64_t weights = engine.getStreamableWeightsSize();
  if (weights <= 0 || static_cast<uint64_t>(weights) / 2 <= plan_bytes) return ok_status();
  const ErrorScope errors;  // that it takes none is no error
  const auto refitter = make_refitter(library, engine, logger);
  if (refitter == nullptr || refitter->getAllWeights(0, nullptr) <= 0) return ok_status();
  return Failure{ErrorCode::BadEngine, subject,
                 "a plan of " + std::to_string(plan_bytes) + " bytes for " + std::to_string(weights) +
                     " bytes of weights: it was stripped of them",
                 "a plan with its weights, or a program that says where they are",
                 "Save it with save_plan(weights=...), or build it without STRIP_PLAN"};
}

Status refit(const std::string& subject, const Library& library, nvinfer1::ICudaEngine& engine, Logger& logger,
             const Weights& weights) {
  const ErrorScope errors;
  auto made = refitter_of(subject, library, engine, logger, errors);
  if (!made.ok()) return std::move(made).failure();
  const auto& refitter = made.value();
  Status step = compare_names(subject, *refitter, weights);  // knows none of a plan that takes none
  for (size_t i = 0; step.ok() && i < weights.size(); ++i) step = check(subject, *refitter, weights[i], weights.file());
  if (!step.ok()) return step;
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto& [facts, data] = weights[i];
    const DataType type = refitter->getWeightsPrototype(facts.name.c_str()).type;
    if (refitter->setNamedWeights(facts.name.c_str(), {type, data, facts.count}, nvinfer1::TensorLocation::kHOST)) {
      continue;
    }
    const Failure refused = refit_failed(subject, errors.words(), "");
    Failure named_one = bad_weight(subject, facts.name, weights.file(), refused.found, "a weight that TensorRT takes");
    named_one.code = refused.code;
    return named_one;
  }
  step = check_unnamed(subject, *refitter);
  if (!step.ok()) return step;
  if (refitter->refitCudaEngine()) return ok_status();
  return refit_failed(
      subject, errors.words(),
      "an engine with the " + std::to_string(weights.size()) + " weights of " + in_quotes(weights.file()));
}

}  // namespace torchtrt_ws::tensorrt
