#include <NvInferRuntime.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "../cuda/call.h"
#include "../cuda/memory.h"
#include "state.h"

// Refitter: gives an engine its weights, by name. It keeps pointers until refitCudaEngine(), as TensorRT does.
namespace standin {
namespace {

using nvinfer1::Weights;
using nvinfer1::WeightsRole;

class Refitter final : public nvinfer1::apiv::VRefitter {
 public:
  Refitter(nvinfer1::IRefitter& face, std::shared_ptr<EngineState> engine, nvinfer1::ILogger* logger)
      : face_(face), engine_(std::move(engine)), logger_(logger) {
    count_live("refitter", 1);
  }
  ~Refitter() noexcept override {
    auto guard = lock();
    if (!engine_->alive) misuse("~IRefitter: its engine was destroyed before it");
    count_live("refitter", -1);
  }

  nvinfer1::IRefitter* getPImpl() noexcept override { return &face_; }
  bool setWeights(char const*, WeightsRole, const Weights) noexcept override { absent("IRefitter::setWeights"); }
  int32_t getMissing(int32_t, char const**, WeightsRole*) noexcept override { return 0; }  // all have names
  int32_t getAll(int32_t, char const**, WeightsRole*) noexcept override { absent("IRefitter::getAll"); }
#if !STANDIN_LAYOUT_11
  bool setDynamicRange(char const*, float, float) noexcept override { absent("IRefitter::setDynamicRange"); }
  float getDynamicRangeMin(char const*) const noexcept override { absent("IRefitter::getDynamicRangeMin"); }
  float getDynamicRangeMax(char const*) const noexcept override { absent("IRefitter::getDynamicRangeMax"); }
  int32_t getTensorsWithDynamicRange(int32_t, char const**) const noexcept override { return 0; }
#endif
  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }

  bool setNamedWeights(char const* name, Weights weights) noexcept override {
    return setNamedWeightsWithLocation(name, weights, nvinfer1::TensorLocation::kHOST);
  }

  // As TensorRT-RTX 1.6.1 has it for plans of STRIP_PLAN and REFIT_IDENTICAL: nothing is ever missing, but for weights
  // that go together and of which some are set.
  int32_t getMissingWeights(int32_t size, char const** names) noexcept override {
    return list(size, names, [this](const Plan::Weight& each) { return is_missing(each.name); });
  }
  int32_t getAllWeights(int32_t size, char const** names) noexcept override {
    return list(size, names, [](const Plan::Weight&) { return true; });
  }

  nvinfer1::ILogger* getLogger() const noexcept override { return logger_; }
  bool setMaxThreads(int32_t threads) noexcept override {
    threads_ = threads;
    return threads > 0;
  }
  int32_t getMaxThreads() const noexcept override { return threads_; }

  bool setNamedWeightsWithLocation(char const* name, Weights weights,
                                   nvinfer1::TensorLocation location) noexcept override {
    constexpr const char* kWhere = "IRefitter::setNamedWeights";
    auto guard = lock();
    if (auto fault = enter_tensorrt("setNamedWeights")) {
      log_error(*engine_->runtime, kWhere, fault_words(*fault));
      return false;
    }
    const Plan::Weight* known = engine_->plan.find_weight(name == nullptr ? "" : name);
    const bool fits = known != nullptr && known->count == weights.count && known->dtype == weights.type &&
                      weights.values != nullptr && location == nvinfer1::TensorLocation::kHOST;
    if (fits) {
      given_[known->name] = weights.values;
    } else {
      log_misuse(*engine_->runtime, kWhere, "weightsMap.count(name)", "The weights do not fit those of the engine.");
    }
    return fits;
  }
  Weights getNamedWeights(char const*) const noexcept override { absent("IRefitter::getNamedWeights"); }
  nvinfer1::TensorLocation getWeightsLocation(char const*) const noexcept override {
    return nvinfer1::TensorLocation::kHOST;
  }
  bool unsetNamedWeights(char const*) noexcept override { absent("IRefitter::unsetNamedWeights"); }
  void setWeightsValidation(bool validation) noexcept override { validation_ = validation; }
  bool getWeightsValidation() const noexcept override { return validation_; }
  bool refitCudaEngineAsync(cudaStream_t) noexcept override { absent("IRefitter::refitCudaEngineAsync"); }

  Weights getWeightsPrototype(char const* name) const noexcept override {
    const Plan::Weight* known = engine_->plan.find_weight(name == nullptr ? "" : name);
    if (known == nullptr) return {nvinfer1::DataType::kFLOAT, nullptr, -1};
    return {known->dtype, nullptr, known->count};
  }

  bool refitCudaEngine() noexcept override;

 private:
  bool is_missing(const std::string& name) const {
    if (given_.count(name) != 0) return false;
    const auto is_given = [this](const std::string& other) { return given_.count(other) != 0; };
    const auto asks = [&](const std::vector<std::string>& group) {
      return std::count(group.begin(), group.end(), name) != 0 && std::any_of(group.begin(), group.end(), is_given);
    };
    return std::any_of(engine_->plan.together.begin(), engine_->plan.together.end(), asks);
  }

  template <typename Which>
  int32_t list(int32_t size, char const** names, const Which& which) const {
    auto guard = lock();
    int32_t found = 0;
    for (const Plan::Weight& each : engine_->plan.weights) {
      if (!which(each)) continue;
      if (found < size && names != nullptr) names[found] = each.name.c_str();
      ++found;
    }
    return found;
  }

  nvinfer1::IRefitter& face_;
  std::shared_ptr<EngineState> engine_;
  nvinfer1::ILogger* logger_;
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
  std::map<std::string, const void*> given_;
  int32_t threads_ = 1;
  bool validation_ = true;
};

// When it fails, half of the weights have been taken: TensorRT promises no more.
bool Refitter::refitCudaEngine() noexcept {
  constexpr const char* kWhere = "IRefitter::refitCudaEngine";
  auto guard = lock();
  check_device(engine_->device, kWhere);
  if (engine_->contexts > 0) misuse("refitCudaEngine: while the engine may have work in flight");
  if (getMissingWeights(0, nullptr) > 0) misuse("refitCudaEngine: weights are missing");
  const auto fault = enter_tensorrt("refitCudaEngine");
  size_t left = fault ? given_.size() / 2 : given_.size();
  for (const auto& [name, values] : given_) {
    if (left-- == 0) break;
    for (Plan::Weight& weight : engine_->plan.weights) {
      if (weight.name != name) continue;
      weight.bytes.resize(static_cast<size_t>(weight.count) * element_size(weight.dtype));
      std::memcpy(weight.bytes.data(), values, weight.bytes.size());
    }
  }
  if (fault) log_error(*engine_->runtime, kWhere, fault_words(*fault));
  return !fault;
}

}  // namespace

nvinfer1::IRefitter* make_refitter(std::shared_ptr<EngineState> state, nvinfer1::ILogger* logger) {
  return new Face<nvinfer1::IRefitter, Refitter>(std::move(state), logger);
}

}  // namespace standin
