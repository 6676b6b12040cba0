#include "engine/tensorrt/refit.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/pieces.h"
#include "base/quote.h"
#include "engine/dtype.h"
#include "engine/tensorrt/data_type.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {
namespace {

using nvinfer1::DataType;
using Names = std::vector<const char*>;

/// Types of weights that no tensor here has, with torch's names.
struct NarrowType {
  const char* name;
  DataType type;
  int64_t bits;
};
constexpr NarrowType kNarrow[] = {
    {"int4", DataType::kINT4, 4}, {"float4_e2m1fn", DataType::kFP4, 4}, {"float8_e8m0fnu", DataType::kE8M0, 8}};

/// Torch's name of TensorRT's type, and the bits of one element; null where there is none.
std::pair<const char*, int64_t> named(DataType type) {
  for (const NarrowType& narrow : kNarrow) {
    if (narrow.type == type) return {narrow.name, narrow.bits};
  }
  const auto scalar = scalar_type(type);
  const Dtype* known = scalar ? find_dtype(*scalar) : nullptr;
  return known == nullptr ? std::pair<const char*, int64_t>{nullptr, 0}
                          : std::pair<const char*, int64_t>{known->name, 8 * static_cast<int64_t>(known->bytes)};
}

/// The names that `ask` gives: IRefitter tells how many there are, and then writes them.
template <typename Ask>
Names names_of(const Ask& ask) {
  Names names(static_cast<size_t>(std::max(ask(0, nullptr), 0)));
  if (!names.empty()) ask(static_cast<int32_t>(names.size()), names.data());
  names.erase(std::remove(names.begin(), names.end(), nullptr), names.end());
  return names;
}

std::string some(const Names& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < 3; ++i) text += (i == 0 ? "" : ", ") + torchtrt_ws::quoted(names[i]);
  return names.size() > 3 ? text + ", ..." : text;
}

/// The engine's side of one weight.
Status check(const std::string& subject, nvinfer1::IRefitter& refitter, const Weight& weight, const std::string& file) {
  const WeightFacts& facts = weight.facts;
  const nvinfer1::Weights wanted = refitter.getWeightsPrototype(facts.name.c_str());
  const auto [name, bits] = named(wanted.type);
  const auto differs = [&](std::string found, std::string expected) {
    return bad_weight(subject, facts.name, file, std::move(found), std::move(expected) + ", as the engine says");
  };
  if (name == nullptr || facts.dtype != name)
    return differs(facts.dtype, name == nullptr ? type_name(wanted.type) : name);
  if (facts.count != wanted.count) {
    return differs(std::to_string(facts.count) + " elements", std::to_string(wanted.count));
  }
  int64_t all_bits = 0;
  const bool fits = !__builtin_mul_overflow(facts.count, bits, &all_bits) && (all_bits + 7) / 8 == facts.bytes;
  if (!fits) {
    return differs(std::to_string(facts.bytes) + " bytes",
                   "those of " + std::to_string(facts.count) + " elements of " + name);
  }
  return ok_status();
}

/// What is listed and what the engine knows are the same weights.
Status compare_names(const std::string& subject, nvinfer1::IRefitter& refitter, const Weights& weights) {
  // Not getMissingWeights(): TensorRT-RTX 1.6.1 names none for a plan of STRIP_PLAN and REFIT_IDENTICAL, refits it
  // without any, and it computes garbage.
  const Names all = names_of([&](int32_t size, const char** names) { return refitter.getAllWeights(size, names); });
  const std::unordered_set<std::string_view> known(all.begin(), all.end());
  std::unordered_set<std::string_view> listed;
  for (size_t i = 0; i < weights.size(); ++i) {
    const std::string& name = weights[i].facts.name;
    listed.insert(name);
    if (known.count(name) == 0) {
      return bad_weight(subject, name, weights.file(), "a weight that the engine does not have",
                        std::to_string(all.size()) + " weights" + (all.empty() ? "" : ": " + some(all)));
    }
  }
  for (const char* name : all) {
    if (listed.count(name) != 0) continue;
    return bad_weight(subject, name, weights.file(), "nothing of it in the program's list of weights",
                      "all " + std::to_string(all.size()) + " that the engine lacks");
  }
  return ok_status();
}

Failure failed(const std::string& subject, const std::string& words, const std::string& expected) {
  const std::string found = words.empty() ? "a failure, and no reason from TensorRT" : words;
  if (says_out_of_memory(words)) {
    return {ErrorCode::DoesNotFit, subject, found, expected, "Free memory on the device and in the host"};
  }
  const bool cuda = says_cuda_failed(words);
  return {cuda ? ErrorCode::EngineFault : ErrorCode::BadEngine, subject, found, expected,
          cuda ? "Check the device and its driver (nvidia-smi shows them)"
               : "Build the engine again (STRIP_PLAN with REFIT_IDENTICAL) and save it with its weights"};
}

/// What setNamedWeights() cannot name: weights of layers that the builder gave no name.
Status check_unnamed(const std::string& subject, nvinfer1::IRefitter& refitter) {
  const int32_t left = refitter.getMissing(0, nullptr, nullptr);
  if (left <= 0) return ok_status();
  std::vector<const char*> layers(static_cast<size_t>(left));
  std::vector<nvinfer1::WeightsRole> roles(static_cast<size_t>(left));
  refitter.getMissing(left, layers.data(), roles.data());
  return Failure{ErrorCode::BadEngine, subject,
                 std::to_string(left) + " weights without a name, the first of layer " +
                     torchtrt_ws::quoted(layers[0] == nullptr ? "" : layers[0]),
                 "an engine whose weights have names", "Name them when building (INetworkDefinition::setWeightsName)"};
}

/// Null where `library` has none, or none for this engine; then `library` says why in its log.
std::unique_ptr<nvinfer1::IRefitter> make_refitter(const Library& library, nvinfer1::ICudaEngine& engine,
                                                   Logger& logger) {
  if (library.create_refitter == nullptr) return nullptr;
  return std::unique_ptr<nvinfer1::IRefitter>(
      static_cast<nvinfer1::IRefitter*>(library.create_refitter(&engine, &logger, NV_TENSORRT_VERSION)));
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
  if (library.create_refitter == nullptr) {
    return Failure{ErrorCode::NotSupported, subject, library.path + " without createInferRefitter_INTERNAL",
                   "a library that can give an engine its weights",
                   std::string("Install a full ") + product_name(library.product) + " " + library.version_text()};
  }
  const ErrorScope errors;
  const auto refitter = make_refitter(library, engine, logger);
  if (refitter == nullptr) return failed(subject, errors.words(), "a refitter for the engine");
  refitter->setMaxThreads(static_cast<int32_t>(moving_threads()));  // a wish
  Status step = compare_names(subject, *refitter, weights);         // knows none of a plan that takes none
  for (size_t i = 0; step.ok() && i < weights.size(); ++i) step = check(subject, *refitter, weights[i], weights.file());
  if (!step.ok()) return step;
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto& [facts, data] = weights[i];
    const DataType type = refitter->getWeightsPrototype(facts.name.c_str()).type;
    if (refitter->setNamedWeights(facts.name.c_str(), {type, data, facts.count}, nvinfer1::TensorLocation::kHOST)) {
      continue;
    }
    const Failure refused = failed(subject, errors.words(), "");
    Failure named_one = bad_weight(subject, facts.name, weights.file(), refused.found, "a weight that TensorRT takes");
    named_one.code = refused.code;
    return named_one;
  }
  step = check_unnamed(subject, *refitter);
  if (!step.ok()) return step;
  if (refitter->refitCudaEngine()) return ok_status();
  return failed(
      subject, errors.words(),
      "an engine with the " + std::to_string(weights.size()) + " weights of " + torchtrt_ws::quoted(weights.file()));
}

}  // namespace torchtrt_ws::tensorrt
