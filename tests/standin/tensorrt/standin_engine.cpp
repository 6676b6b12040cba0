#include <NvInferRuntime.h>

#include <algorithm>
#include <utility>

#include "../cuda/call.h"
#include "../cuda/memory.h"
#include "runtime_cache.h"
#include "state.h"

// Engine: what a plan says of itself, and the budget for its weights.
namespace standin {
namespace {

using nvinfer1::DataType;
using nvinfer1::Dims;

constexpr Dims kNoDims = {-1, {}};

class Engine final : public nvinfer1::apiv::VCudaEngine {
 public:
  Engine(nvinfer1::ICudaEngine& face, std::shared_ptr<EngineState> state) : face_(face), state_(std::move(state)) {
    ++state_->runtime->engines;
    count_live("engine", 1);
  }

  ~Engine() noexcept override {
    auto guard = lock();
    if (!state_->runtime->alive) misuse("~ICudaEngine: its runtime was destroyed before it");
    if (state_->contexts > 0) misuse("~ICudaEngine: destroyed before its execution contexts");
    state_->alive = false;
    --state_->runtime->engines;
    for (void* memory : {state_->resident, state_->weights}) {
      if (memory != nullptr) release(memory, Kind::Weights, "~ICudaEngine");
    }
    state_->weights = nullptr;
    count_live("engine", -1);
  }

  nvinfer1::ICudaEngine* getPImpl() noexcept override { return &face_; }
  std::shared_ptr<EngineState> state() const { return state_; }
  char const* getName() const noexcept override { return "stand-in"; }
  int32_t getNbLayers() const noexcept override { return 1; }
  int32_t getNbOptimizationProfiles() const noexcept override { return state_->plan.profiles(); }
  int32_t getNbAuxStreams() const noexcept override { return 0; }
  // As TensorRT-RTX 1.6.1 says of REFIT_IDENTICAL: false.
  bool isRefittable() const noexcept override { return state_->plan.refittable == Plan::kAny; }
  nvinfer1::EngineCapability getEngineCapability() const noexcept override {
    return nvinfer1::EngineCapability::kSTANDARD;
  }
  nvinfer1::TacticSources getTacticSources() const noexcept override { return 0; }
  nvinfer1::ProfilingVerbosity getProfilingVerbosity() const noexcept override {
    return nvinfer1::ProfilingVerbosity::kNONE;
  }
  nvinfer1::HardwareCompatibilityLevel getHardwareCompatibilityLevel() const noexcept override {
    return nvinfer1::HardwareCompatibilityLevel{};  // none
  }
  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }

  int32_t getNbIOTensors() const noexcept override { return static_cast<int32_t>(state_->plan.tensors.size()); }

  char const* getIOTensorName(int32_t index) const noexcept override {
    if (index < 0 || index >= getNbIOTensors() || failing("getIOTensorName")) return nullptr;
    return state_->plan.tensors[static_cast<size_t>(index)].name.c_str();
  }

  Dims getTensorShape(char const* name) const noexcept override {
    const Plan::Tensor* tensor = state_->find(name);
    if (tensor == nullptr) return kNoDims;
    if (tensor->is_input) return with_wildcards(*tensor);
    if (tensor->nonzero) {
      const auto rank = static_cast<int64_t>(state_->plan.tensors[tensor->terms[0].input].ranges[0].max.size());
      return to_dims({rank, -1});
    }
    if (tensor->shape_from >= 0) {
      const Plan::Tensor& values = state_->plan.tensors[static_cast<size_t>(tensor->shape_from)];
      return to_dims(std::vector<int64_t>(values.values.at(0).max.size(), -1));
    }
    if (tensor->sum) return to_dims(std::vector<int64_t>(static_cast<size_t>(tensor->sum_rank), 1));
    return with_wildcards(state_->plan.tensors[tensor->terms[0].input]);
  }

  DataType getTensorDataType(char const* name) const noexcept override {
    const Plan::Tensor* tensor = state_->find(name);
    return tensor == nullptr ? DataType::kFLOAT : tensor->dtype;
  }
  nvinfer1::TensorLocation getTensorLocation(char const* name) const noexcept override {
    return isShapeInferenceIO(name) ? nvinfer1::TensorLocation::kHOST : nvinfer1::TensorLocation::kDEVICE;
  }
  bool isShapeInferenceIO(char const* name) const noexcept override {
    const Plan::Tensor* tensor = state_->find(name);
    return tensor != nullptr && tensor->host;
  }
  nvinfer1::TensorIOMode getTensorIOMode(char const* name) const noexcept override {
    const Plan::Tensor* tensor = state_->find(name);
    if (tensor == nullptr) return nvinfer1::TensorIOMode::kNONE;
    return tensor->is_input ? nvinfer1::TensorIOMode::kINPUT : nvinfer1::TensorIOMode::kOUTPUT;
  }
  int32_t getTensorBytesPerComponent(char const*) const noexcept override { return -1; }  // not vectorized
  int32_t getTensorComponentsPerElement(char const*) const noexcept override { return -1; }
  nvinfer1::TensorFormat getTensorFormat(char const* name) const noexcept override {
    return getTensorFormatV2(name, 0);
  }
  char const* getTensorFormatDesc(char const* name) const noexcept override { return getTensorFormatDescV2(name, 0); }
  int32_t getTensorVectorizedDim(char const*) const noexcept override { return -1; }
  int32_t getTensorBytesPerComponentV2(char const*, int32_t) const noexcept override { return -1; }
  int32_t getTensorComponentsPerElementV2(char const*, int32_t) const noexcept override { return -1; }
  nvinfer1::TensorFormat getTensorFormatV2(char const* name, int32_t profile) const noexcept override {
    const Plan::Tensor* tensor = state_->find(name);
    const bool vectorized = tensor != nullptr && tensor->vectorized >= 0 && profile >= tensor->vectorized;
    return vectorized ? nvinfer1::TensorFormat::kCHW32 : nvinfer1::TensorFormat::kLINEAR;
  }
  char const* getTensorFormatDescV2(char const* name, int32_t profile) const noexcept override {
    return getTensorFormatV2(name, profile) == nvinfer1::TensorFormat::kLINEAR
               ? "Row major linear format"
               : "Channel major FP32 format where C % 32 == 0";
  }
  int32_t getTensorVectorizedDimV2(char const*, int32_t) const noexcept override { return -1; }

  Dims getProfileShape(char const* name, int32_t profile, nvinfer1::OptProfileSelector select) const noexcept override {
    const Plan::Tensor* tensor = state_->find(name);
    if (tensor == nullptr || !tensor->is_input || profile < 0 || profile >= state_->plan.profiles()) return kNoDims;
    if (failing("getProfileShape")) return kNoDims;
    const Plan::Range& range = state_->plan.range(*tensor, profile);
    switch (select) {
      case nvinfer1::OptProfileSelector::kMIN:
        return to_dims(range.min);
      case nvinfer1::OptProfileSelector::kOPT:
        return to_dims(range.opt);
      case nvinfer1::OptProfileSelector::kMAX:
        return to_dims(range.max);
    }
    return kNoDims;
  }

#if STANDIN_LAYOUT_11
  char const* getAliasedInputTensor(char const* name) const noexcept override {
    const Plan::Tensor* tensor = state_->find(name);
    if (tensor == nullptr || tensor->alias < 0) return nullptr;
    return state_->plan.tensors[static_cast<size_t>(tensor->alias)].name.c_str();
  }
#endif

  int64_t getStreamableWeightsSize() const noexcept override { return state_->plan.streamable; }
  int64_t getWeightStreamingBudgetV2() const noexcept override { return state_->budget; }
  int64_t getWeightStreamingScratchMemorySize() const noexcept override { return state_->scratch(); }
  int64_t getDeviceMemorySizeV2() const noexcept override { return state_->plan.context() + state_->scratch(); }
  int64_t getDeviceMemorySizeForProfileV2(int32_t) const noexcept override {
    absent("ICudaEngine::getDeviceMemorySizeForProfileV2");
  }

  int64_t getWeightStreamingAutomaticBudget() const noexcept override {
    auto guard = lock();
    enter("getWeightStreamingAutomaticBudget", false);
    int64_t budget = setting("automatic_budget");
    if (budget < 0) {
      const Plan& plan = state_->plan;
      budget = free_bytes(state_->device) - plan.context() - plan.scratch - setting("automatic_margin");
    }
    return std::clamp<int64_t>(budget, 0, state_->plan.streamable);
  }

  bool setWeightStreamingBudgetV2(int64_t budget) noexcept override;
  nvinfer1::IExecutionContext* createExecutionContext(
      nvinfer1::ExecutionContextAllocationStrategy strategy) noexcept override;

  int64_t getEngineStat(nvinfer1::EngineStat) const noexcept override {
    return state_->plan.streamable + state_->plan.resident;
  }
  bool isDebugTensor(char const*) const noexcept override { return false; }

  nvinfer1::IHostMemory* serialize() const noexcept override { absent("ICudaEngine::serialize"); }
  nvinfer1::IHostMemory* serializeWithConfig(nvinfer1::ISerializationConfig& config) const noexcept override {
    auto guard = lock();
    return standin::serialize(*state_, config);
  }
  nvinfer1::ISerializationConfig* createSerializationConfig() noexcept override {
    auto guard = lock();
    return enter("createSerializationConfig") ? nullptr : make_serialization_config(*state_);
  }
  nvinfer1::IEngineInspector* createEngineInspector() const noexcept override {
    absent("ICudaEngine::createEngineInspector");
  }
  nvinfer1::IRefitter* createRefitter(nvinfer1::ILogger&) noexcept override { absent("ICudaEngine::createRefitter"); }
  int64_t const* getProfileTensorValuesV2(char const* name, int32_t profile,
                                          nvinfer1::OptProfileSelector select) const noexcept override {
    const Plan::Tensor* tensor = state_->find(name);
    if (tensor == nullptr || tensor->values.empty() || failing("getProfileTensorValuesV2")) return nullptr;
    const Plan::Range& values = state_->plan.values(*tensor, profile);
    if (select == nvinfer1::OptProfileSelector::kMIN) return values.min.data();
    return select == nvinfer1::OptProfileSelector::kMAX ? values.max.data() : values.opt.data();
  }
#if STANDIN_RTX_HEADERS
  nvinfer1::IExecutionContext* createExecutionContextWithRuntimeConfig(
      nvinfer1::IRuntimeConfig* config) noexcept override {
    auto guard = lock();
    return create(config_state(*config).strategy, config_state(*config).kernels);
  }
  nvinfer1::IRuntimeConfig* createRuntimeConfig() noexcept override {
    auto guard = lock();
    return enter("createRuntimeConfig") ? nullptr : make_runtime_config();
  }
#else
  nvinfer1::IExecutionContext* createExecutionContextWithRuntimeConfig(nvinfer1::IRuntimeConfig*) noexcept override {
    absent("ICudaEngine::createExecutionContext(IRuntimeConfig*)");
  }
  nvinfer1::IRuntimeConfig* createRuntimeConfig() noexcept override { absent("ICudaEngine::createRuntimeConfig"); }
#endif

#if STANDIN_RTX_HEADERS && NV_TENSORRT_MINOR >= 6
  bool areWeightsLoaded() const noexcept override { return true; }
  bool loadWeights(void const*, int64_t) noexcept override { absent("ICudaEngine::loadWeights"); }
  bool loadWeightsAsync(nvinfer1::IStreamReaderV2&, cudaStream_t) noexcept override {
    absent("ICudaEngine::loadWeightsAsync");
  }
#endif

#if !STANDIN_LAYOUT_11
  bool hasImplicitBatchDimension() const noexcept override { return false; }
  int32_t const* getProfileTensorValues(char const*, int32_t, nvinfer1::OptProfileSelector) const noexcept override {
    return nullptr;
  }
  // The first generation of the budget; TensorRT leaves its mixture with the second undefined.
  bool setWeightStreamingBudget(int64_t) noexcept override { absent("ICudaEngine::setWeightStreamingBudget"); }
  int64_t getWeightStreamingBudget() const noexcept override { absent("ICudaEngine::getWeightStreamingBudget"); }
  int64_t getMinimumWeightStreamingBudget() const noexcept override {
    absent("ICudaEngine::getMinimumWeightStreamingBudget");
  }
  size_t getDeviceMemorySize() const noexcept override { absent("ICudaEngine::getDeviceMemorySize"); }
  size_t getDeviceMemorySizeForProfile(int32_t) const noexcept override {
    absent("ICudaEngine::getDeviceMemorySizeForProfile");
  }
  nvinfer1::IExecutionContext* createExecutionContextWithoutDeviceMemory() noexcept override {
    absent("ICudaEngine::createExecutionContextWithoutDeviceMemory");
  }
#endif

 private:
  nvinfer1::IExecutionContext* create(nvinfer1::ExecutionContextAllocationStrategy strategy,
                                      std::shared_ptr<Kernels> kernels);

  static bool failing(const char* function) {
    auto guard = lock();
    return enter(function).has_value();
  }

  Dims with_wildcards(const Plan::Tensor& input) const {
    Dims dims = to_dims(input.ranges[0].max);
    for (int i = 0; i < dims.nbDims; ++i) {
      if (state_->plan.is_dynamic(input, static_cast<size_t>(i))) dims.d[i] = -1;
    }
    return dims;
  }

  nvinfer1::ICudaEngine& face_;
  std::shared_ptr<EngineState> state_;
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
};

// Seen on TensorRT-RTX 1.6.1: at full residency this call allocates, below it the context does. What it frees the
// device has back when somebody synchronizes with the legacy default stream, or makes a context.
bool Engine::setWeightStreamingBudgetV2(int64_t budget) noexcept {
  constexpr const char* kWhere = "ICudaEngine::setWeightStreamingBudgetV2";
  auto guard = lock();
  EngineState& state = *state_;
  check_device(state.device, kWhere);
  if (auto fault = enter_tensorrt("setWeightStreamingBudgetV2")) {
    log_error(*state.runtime, kWhere, fault_words(*fault));
    return false;
  }
  if (!state.plan.streaming) {
    log_misuse(*state.runtime, kWhere, "weightStreamingEnabled", "BuilderFlag::kWEIGHT_STREAMING must be set.");
    return false;
  }
  if (state.contexts > 0) {
    log_misuse(*state.runtime, kWhere, "mNbContexts == 0",
               "The weight streaming budget cannot be modified while there are active IExecutionContexts.");
    return false;
  }
  if (budget < 0) {
    log_misuse(*state.runtime, kWhere, "gpuMemoryBudget >= 0", "gpuMemoryBudget must be a non-negative value.");
    return false;
  }
  if (state.plan.lacks_weights()) misuse("setWeightStreamingBudgetV2: of a stripped engine, before its weights");
  budget = std::min(budget, state.plan.streamable);
  if (budget == state.plan.streamable && state.weights == nullptr && budget > 0) {
    state.weights = allocate(Kind::Weights, state.device, static_cast<size_t>(budget));
    if (state.weights == nullptr) {
      log_out_of_memory(*state.runtime, kWhere, budget);
      return false;
    }
  }
  if (budget < state.plan.streamable && state.weights != nullptr) {
    release_in_stream_order(std::exchange(state.weights, nullptr), Kind::Weights, kWhere);
  }
  state.budget = budget;
  return true;
}

nvinfer1::IExecutionContext* Engine::createExecutionContext(
    nvinfer1::ExecutionContextAllocationStrategy strategy) noexcept {
  auto guard = lock();
  return create(strategy, nullptr);
}

nvinfer1::IExecutionContext* Engine::create(nvinfer1::ExecutionContextAllocationStrategy strategy,
                                            std::shared_ptr<Kernels> kernels) {
  const bool user_managed = strategy == nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED;
  if (!user_managed && strategy != nvinfer1::ExecutionContextAllocationStrategy::kSTATIC) {
    absent("ICudaEngine::createExecutionContext, but for kSTATIC and kUSER_MANAGED");
  }
  check_device(state_->device, "ICudaEngine::createExecutionContext");
  if (auto fault = enter_tensorrt("createExecutionContext")) {
    log_error(*state_->runtime, "ICudaEngine::createExecutionContext", fault_words(*fault));
    return nullptr;
  }
  if (state_->plan.lacks_weights()) {
    misuse("createExecutionContext: of a stripped engine, before its weights");
    log_misuse(*state_->runtime, "ICudaEngine::createExecutionContext", "!mStripped", "The engine has no weights.");
    return nullptr;
  }
  return make_context(state_, face_, user_managed, std::move(kernels));
}

}  // namespace

std::shared_ptr<EngineState> state_of(nvinfer1::ICudaEngine& engine) {
  return static_cast<Face<nvinfer1::ICudaEngine, Engine>&>(engine).implementation.state();
}

nvinfer1::ICudaEngine* make_engine(std::shared_ptr<EngineState> state) {
  return new Face<nvinfer1::ICudaEngine, Engine>(std::move(state));
}

}  // namespace standin
