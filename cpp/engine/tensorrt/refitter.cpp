#include "engine/tensorrt/refitter.h"

#include <algorithm>

#include "base/pieces.h"
#include "base/quote.h"
#include "engine/dtype.h"
#include "engine/tensorrt/data_type.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {
namespace {

using nvinfer1::DataType;

/// Types of weights that no tensor here has, with torch's names.
struct NarrowType {
  const char* name;
  DataType type;
  int64_t bits;
};
constexpr NarrowType kNarrow[] = {
    {"int4", DataType::kINT4, 4}, {"float4_e2m1fn", DataType::kFP4, 4}, {"float8_e8m0fnu", DataType::kE8M0, 8}};

/// The names that `ask` gives: IRefitter tells how many there are, and then writes them.
template <typename Ask>
WeightNames names_of(const Ask& ask) {
  WeightNames names(static_cast<size_t>(std::max(ask(0, nullptr), 0)));
  if (!names.empty()) ask(static_cast<int32_t>(names.size()), names.data());
  names.erase(std::remove(names.begin(), names.end(), nullptr), names.end());
  return names;
}

}  // namespace

std::pair<const char*, int64_t> weight_type(DataType type) {
  for (const NarrowType& narrow : kNarrow) {
    if (narrow.type == type) return {narrow.name, narrow.bits};
  }
  const auto scalar = scalar_type(type);
  const Dtype* known = scalar ? find_dtype(*scalar) : nullptr;
  return known == nullptr ? std::pair<const char*, int64_t>{nullptr, 0}
                          : std::pair<const char*, int64_t>{known->name, 8 * static_cast<int64_t>(known->bytes)};
}

int64_t bytes_of(int64_t count, int64_t bits) noexcept {
  int64_t all = 0;
  if (__builtin_mul_overflow(count, bits, &all) || __builtin_add_overflow(all, 7, &all)) return -1;
  return all / 8;
}

std::unique_ptr<nvinfer1::IRefitter> make_refitter(const Library& library, nvinfer1::ICudaEngine& engine,
                                                   Logger& logger) {
  if (library.create_refitter == nullptr) return nullptr;
  return std::unique_ptr<nvinfer1::IRefitter>(
      static_cast<nvinfer1::IRefitter*>(library.create_refitter(&engine, &logger, NV_TENSORRT_VERSION)));
}

Result<std::unique_ptr<nvinfer1::IRefitter>> refitter_of(const std::string& subject, const Library& library,
                                                         nvinfer1::ICudaEngine& engine, Logger& logger,
                                                         const ErrorScope& errors) {
  if (library.create_refitter == nullptr) {
    return Failure{ErrorCode::NotSupported, subject, library.path + " without createInferRefitter_INTERNAL",
                   "a library that can give an engine its weights",
                   std::string("Install a full ") + product_name(library.product) + " " + library.version_text()};
  }
  auto refitter = make_refitter(library, engine, logger);
  if (refitter == nullptr) return refit_failed(subject, errors.words(), "a refitter for the engine");
  refitter->setMaxThreads(static_cast<int32_t>(moving_threads()));  // a wish
  return refitter;
}

WeightNames all_weights(nvinfer1::IRefitter& refitter) {
  return names_of([&](int32_t size, const char** names) { return refitter.getAllWeights(size, names); });
}

WeightNames missing_weights(nvinfer1::IRefitter& refitter) {
  return names_of([&](int32_t size, const char** names) { return refitter.getMissingWeights(size, names); });
}

std::string some_of(const WeightNames& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < 3; ++i) text += (i == 0 ? "" : ", ") + in_quotes(names[i]);
  return names.size() > 3 ? text + ", ..." : text;
}

Status check_unnamed(const std::string& subject, nvinfer1::IRefitter& refitter) {
  const int32_t left = refitter.getMissing(0, nullptr, nullptr);
  if (left <= 0) return ok_status();
  std::vector<const char*> layers(static_cast<size_t>(left));
  std::vector<nvinfer1::WeightsRole> roles(static_cast<size_t>(left));
  refitter.getMissing(left, layers.data(), roles.data());
  return Failure{ErrorCode::BadEngine, subject,
                 std::to_string(left) + " weights without a name, the first of layer " +
                     in_quotes(layers[0] == nullptr ? "" : layers[0]),
                 "an engine whose weights have names", "Name them when building (INetworkDefinition::setWeightsName)"};
}

Failure refit_failed(const std::string& subject, const std::string& words, const std::string& expected) {
  const std::string found = words.empty() ? "a failure, and no reason from TensorRT" : words;
  if (says_out_of_memory(words)) {
    return {ErrorCode::DoesNotFit, subject, found, expected, "Free memory on the device and in the host"};
  }
  const bool cuda = says_cuda_failed(words);
  return {cuda ? ErrorCode::EngineFault : ErrorCode::BadEngine, subject, found, expected,
          cuda ? "Check the device and its driver (nvidia-smi shows them)"
               : "Build the engine again (STRIP_PLAN with REFIT_IDENTICAL) and save it with its weights"};
}

}  // namespace torchtrt_ws::tensorrt
