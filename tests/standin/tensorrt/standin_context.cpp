#include <NvInferRuntime.h>

#include <algorithm>
#include <map>
#include <utility>

#include "../cuda/call.h"
#include "../cuda/standin_stream.h"
#include "compute.h"
#include "runtime_cache.h"
#include "state.h"

// Execution context: memory that comes and goes with it, shapes, addresses, and the run itself.
namespace standin {
namespace {

using nvinfer1::Dims;

constexpr Dims kNoDims = {-1, {}};
constexpr uintptr_t kAlignment = 256;  // bytes, of every tensor address
constexpr const char* kEnqueue = "IExecutionContext::enqueueV3";

/// What enqueued work needs to know after the context's own object is gone.
struct ContextState {
  bool alive = true;
  uint64_t shapes = 0;     // how often a shape, or the profile, was changed
  Mark last;               // the latest enqueue, or copies of a switch of the profile
  void* memory = nullptr;  // the caller's, of a context with kUSER_MANAGED
  uint64_t memories = 0;   // how often it was given
};

/// Memory of the caller's that contexts share: the latest enqueue that works in it.
std::map<void*, Mark>& shared_memory() {
  static std::map<void*, Mark> last;
  return last;
}

/// One tensor of one enqueue.
struct Bound {
  const Plan::Tensor* tensor;
  void* address;
  size_t elements;
  Dims shape;
  std::vector<int64_t> values{};  // of a shape tensor, when it was enqueued

  size_t bytes() const { return elements * element_size(tensor->dtype); }
};

class Context final : public nvinfer1::apiv::VExecutionContext {
 public:
  Context(nvinfer1::IExecutionContext& face, std::shared_ptr<EngineState> engine, nvinfer1::ICudaEngine& engine_face,
          void* scratch, void* memory, bool user_managed, std::shared_ptr<Kernels> kernels)
      : face_(face),
        engine_(std::move(engine)),
        engine_face_(engine_face),
        scratch_(scratch),
        memory_(memory),
        user_managed_(user_managed),
        kernels_(std::move(kernels)) {
    ++engine_->contexts;
    if (kernels_ != nullptr) ++kernels_->contexts;
    if (STANDIN_RTX_HEADERS) compile(kernels_.get(), "context of " + std::to_string(engine_->plan.streamable));
    forget_shapes();
    count_live("execution_context", 1);
  }

  ~Context() noexcept override {
    auto guard = lock();
    if (!is_done(state_->last)) misuse("~IExecutionContext: destroyed while its work is in flight");
    if (!engine_->alive) misuse("~IExecutionContext: its engine was destroyed before it");
    state_->alive = false;
    if (kernels_ != nullptr) --kernels_->contexts;
    if (scratch_ != nullptr) release(scratch_, Kind::Scratch, "~IExecutionContext");
    if (memory_ != nullptr) release(memory_, Kind::Context, "~IExecutionContext");
    if (--engine_->contexts == 0 && engine_->is_streaming() && engine_->weights != nullptr) {
      release(std::exchange(engine_->weights, nullptr), Kind::Weights, "~IExecutionContext");
    }
    count_live("execution_context", -1);
  }

  nvinfer1::IExecutionContext* getPImpl() noexcept override { return &face_; }
  nvinfer1::ICudaEngine const& getEngine() const noexcept override { return engine_face_; }

  bool setInputShape(char const* name, Dims const& dims) noexcept override;
  Dims getTensorShape(char const* name) const noexcept override;
  bool setTensorAddress(char const* name, void* data) noexcept override {
    return set_address("setTensorAddress", name, data, true, true);
  }
  bool setInputTensorAddress(char const* name, void const* data) noexcept override {
    return set_address("setInputTensorAddress", name, const_cast<void*>(data), true, false);
  }
  bool setOutputTensorAddress(char const* name, void* data) noexcept override {
    return set_address("setOutputTensorAddress", name, data, false, true);
  }
  void const* getTensorAddress(char const* name) const noexcept override { return address_of(name); }
  void* getOutputTensorAddress(char const* name) const noexcept override { return address_of(name); }
  int32_t inferShapes(int32_t most, char const** names) noexcept override;
  bool allInputDimensionsSpecified() const noexcept override { return unspecified() == 0; }
  bool enqueueV3(cudaStream_t stream) noexcept override;

  int32_t getOptimizationProfile() const noexcept override { return profile_; }
  bool setOptimizationProfileAsync(int32_t profile, cudaStream_t stream) noexcept override;
  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }
  void setName(char const* name) noexcept override { name_ = name; }
  char const* getName() const noexcept override { return name_.c_str(); }
  void setEnqueueEmitsProfile(bool) noexcept override {}
  bool getEnqueueEmitsProfile() const noexcept override { return false; }
  bool setNvtxVerbosity(nvinfer1::ProfilingVerbosity) noexcept override { return true; }
  nvinfer1::ProfilingVerbosity getNvtxVerbosity() const noexcept override {
    return nvinfer1::ProfilingVerbosity::kNONE;
  }

  // Not modelled: profiling, debugging, allocators of temporary memory.
  void setDebugSync(bool) noexcept override { absent("IExecutionContext::setDebugSync"); }
  bool getDebugSync() const noexcept override { return false; }
  void setProfiler(nvinfer1::IProfiler*) noexcept override { absent("IExecutionContext::setProfiler"); }
  nvinfer1::IProfiler* getProfiler() const noexcept override { return nullptr; }
  bool reportToProfiler() const noexcept override { return false; }
  void setDeviceMemory(void*) noexcept override { absent("IExecutionContext::setDeviceMemory"); }
  void setDeviceMemoryV2(void* memory, int64_t size) noexcept override;
  size_t updateDeviceMemorySizeForShapes() noexcept override {
    absent("IExecutionContext::updateDeviceMemorySizeForShapes");
  }
  bool executeV2(void* const*) noexcept override { absent("IExecutionContext::executeV2"); }
  Dims getTensorStrides(char const*) const noexcept override { absent("IExecutionContext::getTensorStrides"); }
  bool setInputConsumedEvent(cudaEvent_t) noexcept override { absent("IExecutionContext::setInputConsumedEvent"); }
  cudaEvent_t getInputConsumedEvent() const noexcept override { return nullptr; }
  bool setOutputAllocator(char const* name, nvinfer1::IOutputAllocator* allocator) noexcept override {
    auto guard = lock();
    if (enter("setOutputAllocator")) return false;
    const Plan::Tensor* tensor = engine_->find(name);
    if (tensor == nullptr || tensor->is_input) return false;
    allocators_[tensor->name] = allocator;
    return true;
  }
  nvinfer1::IOutputAllocator* getOutputAllocator(char const* name) noexcept override {
    auto found = allocators_.find(name == nullptr ? "" : name);
    return found == allocators_.end() ? nullptr : found->second;
  }
  int64_t getMaxOutputSize(char const* name) const noexcept override;
  bool setTemporaryStorageAllocator(nvinfer1::IGpuAllocator*) noexcept override {
    absent("IExecutionContext::setTemporaryStorageAllocator");
  }
  nvinfer1::IGpuAllocator* getTemporaryStorageAllocator() const noexcept override { return nullptr; }
  void setPersistentCacheLimit(size_t) noexcept override {}
  size_t getPersistentCacheLimit() const noexcept override { return 0; }
  void setAuxStreams(cudaStream_t*, int32_t) noexcept override {}
  bool setDebugListener(nvinfer1::IDebugListener*) noexcept override { return false; }
  nvinfer1::IDebugListener* getDebugListener() noexcept override { return nullptr; }
  bool setTensorDebugState(char const*, bool) noexcept override { return false; }
  bool getDebugState(char const*) const noexcept override { return false; }
  bool setAllTensorsDebugState(bool) noexcept override { return false; }
  nvinfer1::IRuntimeConfig* getRuntimeConfig() const noexcept override { return nullptr; }
  bool setUnfusedTensorsDebugState(bool) noexcept override { return false; }
  bool getUnfusedTensorsDebugState() const noexcept override { return false; }
#if !STANDIN_LAYOUT_11
  bool allInputShapesSpecified() const noexcept override { return true; }
#else
  bool setCommunicator(void*) noexcept override { return false; }
#endif
#if STANDIN_RTX_HEADERS
  bool isStreamCapturable(cudaStream_t) const noexcept override { absent("IExecutionContext::isStreamCapturable"); }
#endif

 private:
  bool set_address(const char* function, char const* name, void* data, bool input, bool output) {
    auto guard = lock();
    if (enter(function)) return false;
    const Plan::Tensor* tensor = engine_->find(name);
    if (tensor == nullptr || (tensor->is_input ? !input : !output)) return false;
    if (tensor->host && is_device_address(data)) misuse(std::string(function) + ": device memory for a shape tensor");
    addresses_[tensor->name] = data;
    if (tensor->host && tensor->is_input && data != nullptr) told_[tensor->name] = values_of(*tensor);
    return true;
  }

  void* address_of(char const* name) const {
    auto guard = lock();
    auto found = addresses_.find(name == nullptr ? "" : name);
    return found == addresses_.end() ? nullptr : found->second;
  }

  /// All that must be told are those that the network leaves open.
  void forget_shapes() {
    for (const Plan::Tensor& tensor : engine_->plan.tensors) {
      if (!tensor.is_input) continue;
      const Dims dims = engine_face_.getTensorShape(tensor.name.c_str());
      shapes_[tensor.name] = volume(dims) < 0 ? kNoDims : dims;
    }
  }

  int32_t unspecified() const {
    int32_t count = 0;
    for (const auto& [name, dims] : shapes_) count += dims.nbDims < 0;
    for (const Plan::Tensor& tensor : engine_->plan.tensors) {
      count += tensor.host && address_of(tensor.name.c_str()) == nullptr;
    }
    return count;
  }

  std::string shapes_text() const {
    std::string text;
    for (const auto& [name, dims] : shapes_) text += name + to_text(dims);
    return text;
  }

  Dims shape_of(const Plan::Tensor& tensor) const;
  std::vector<int64_t> values_of(const Plan::Tensor& tensor) const;
  std::string look_at_values();
  std::string find_data_dependent(std::vector<Bound>& bound, const std::shared_ptr<Stream>& stream,
                                  cudaStream_t handle);
  std::string bind(std::vector<Bound>& bound) const;
  std::string check_capture(const Stream& stream) const;
  Work make_work(std::vector<Bound> bound, const std::shared_ptr<Stream>& stream) const;

  nvinfer1::IExecutionContext& face_;
  std::shared_ptr<EngineState> engine_;
  nvinfer1::ICudaEngine& engine_face_;
  void* scratch_;
  void* memory_;
  bool user_managed_;
  std::shared_ptr<ContextState> state_ = std::make_shared<ContextState>();
  int32_t profile_ = 0;                 // in force
  std::map<std::string, Dims> shapes_;  // inputs
  std::map<std::string, void*> addresses_;
  std::map<std::string, nvinfer1::IOutputAllocator*> allocators_;
  std::map<std::string, std::vector<int64_t>> values_;  // of shape tensors, when they were last looked at
  std::map<std::string, std::vector<int64_t>> told_;    // and when their address was set: what TensorRT-RTX runs with
  uint64_t warm_shapes_ = UINT64_MAX;                   // state_->shapes at the last run that was not captured
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
  std::string name_;
  std::shared_ptr<Kernels> kernels_;  // null: it was made without a runtime cache
};

bool Context::setInputShape(char const* name, Dims const& dims) noexcept {
  constexpr const char* kWhere = "IExecutionContext::setInputShape";
  auto guard = lock();
  if (auto fault = enter_tensorrt("setInputShape")) {
    log_error(*engine_->runtime, kWhere, fault_words(*fault));
    return false;
  }
  const Plan::Tensor* tensor = engine_->find(name);
  if (tensor == nullptr || !tensor->is_input) return false;
  const Plan::Range& range = engine_->plan.range(*tensor, profile_);
  bool fits = dims.nbDims == static_cast<int32_t>(range.max.size());
  for (int i = 0; fits && i < dims.nbDims; ++i) {
    auto at = static_cast<size_t>(i);
    fits = dims.d[i] >= range.min[at] && dims.d[i] <= range.max[at];
  }
  if (!fits) {
    log_misuse(*engine_->runtime, kWhere, "satisfyProfile",
               "Set dimension " + to_text(dims) + " for tensor " + tensor->name +
                   " does not satisfy any optimization profiles. Valid range for profile " + std::to_string(profile_) +
                   ": " + to_text(to_dims(range.min)) + ".." + to_text(to_dims(range.max)) + ".");
    return false;
  }
  Dims& kept = shapes_[tensor->name];
  if (to_text(kept) != to_text(dims)) ++state_->shapes;
  kept = dims;
  return true;
}

// "TensorRT may require that data is copied via cudaMemcpyAsync" (NvInferRuntime.h): a switch is work on the stream,
// with the order that runs need. Shapes and addresses have to be told again; a graph is of the profile it was captured
// in.
bool Context::setOptimizationProfileAsync(int32_t profile, cudaStream_t handle) noexcept {
  constexpr const char* kWhere = "IExecutionContext::setOptimizationProfileAsync";
  auto guard = lock();
  auto refuse = [&](const std::string& words) {
    log_error(*engine_->runtime, kWhere, words);
    return false;
  };
  check_device(engine_->device, kWhere);
  if (auto fault = enter_tensorrt("setOptimizationProfileAsync")) return refuse(fault_words(*fault));
  auto stream = find_stream(handle, kWhere);
  if (stream == nullptr || stream->device != engine_->device) {
    misuse("setOptimizationProfileAsync: not a stream of the engine's device");
    return refuse("1: Cuda Runtime (invalid resource handle)");
  }
  if (profile < 0 || profile >= engine_->plan.profiles()) {
    return refuse("3: API Usage Error (Parameter check failed, condition: profileIndex >= 0 && profileIndex < " +
                  std::to_string(engine_->plan.profiles()) + ")");
  }
  if (stream->capture != nullptr) misuse("setOptimizationProfileAsync: on a stream that is capturing");
  Mark before = state_->last.stream.lock() == stream ? Mark{} : state_->last;
  cudaError_t error = enqueue(*stream, [before] {
    if (!is_done(before)) misuse("a switch of the profile and a run on two streams, with no order between them");
    return cudaSuccess;
  });
  if (error != cudaSuccess) return refuse(std::string("1: Cuda Runtime (") + cudaGetErrorString(error) + ")");
  state_->last = mark(stream);
  ++state_->shapes;
  profile_ = profile;
  forget_shapes();
  addresses_.clear();
  allocators_.clear();
  return true;
}

Dims Context::getTensorShape(char const* name) const noexcept {
  auto guard = lock();
  if (enter("getTensorShape")) return kNoDims;
  const Plan::Tensor* tensor = engine_->find(name);
  return tensor == nullptr ? kNoDims : shape_of(*tensor);
}

Dims Context::shape_of(const Plan::Tensor& tensor) const {
  const Dims declared = engine_face_.getTensorShape(tensor.name.c_str());
  if (tensor.sum || tensor.nonzero) return declared;
  if (tensor.shape_from >= 0) {
    const auto values = values_of(engine_->plan.tensors[static_cast<size_t>(tensor.shape_from)]);
    return values.empty() ? declared : to_dims(values);
  }
  const Plan::Tensor& source = tensor.is_input ? tensor : engine_->plan.tensors[tensor.terms[0].input];
  const Dims& dims = shapes_.at(source.name);
  return dims.nbDims < 0 ? declared : dims;
}

int32_t Context::inferShapes(int32_t most, char const** names) noexcept {
  auto guard = lock();
  if (auto fault = enter_tensorrt("inferShapes")) {
    log_error(*engine_->runtime, "IExecutionContext::inferShapes", fault_words(*fault));
    return -1;
  }
  if (most < 0 || (names == nullptr && most != 0)) return -1;
  if (std::string words = look_at_values(); !words.empty()) {
    log_misuse(*engine_->runtime, "IExecutionContext::inferShapes", "satisfyProfile", words);
    return -1;
  }
  int32_t written = 0;
  for (const auto& [name, dims] : shapes_) {
    if (dims.nbDims < 0 && written < most) names[written++] = engine_->find(name.c_str())->name.c_str();
  }
  return unspecified();
}

// Seen on TensorRT-RTX 1.6.1: the caller's memory holds the scratch too, and too little of it is refused with words
// only.
void Context::setDeviceMemoryV2(void* memory, int64_t size) noexcept {
  constexpr const char* kWhere = "IExecutionContext::setDeviceMemoryV2";
  auto guard = lock();
  if (auto fault = enter_tensorrt("setDeviceMemoryV2")) {
    log_error(*engine_->runtime, kWhere, fault_words(*fault));
    return;
  }
  if (!user_managed_) {
    misuse("setDeviceMemoryV2: a context that has memory of its own");
    return;
  }
  const int64_t needed = engine_->plan.context() + engine_->scratch();
  if (size < needed) {
    log_misuse(*engine_->runtime, kWhere, "size >= expectedSize",
               "setDeviceMemoryV2: The provided memory size is too small. Provided " + std::to_string(size) +
                   ", but expected at least " + std::to_string(needed) + " bytes.");
    return;
  }
  if (!is_done(state_->last)) misuse("setDeviceMemoryV2: while work of the context is in flight");
  state_->memory = memory;
  ++state_->memories;
}

std::vector<int64_t> values_at(const void* address, nvinfer1::DataType dtype, size_t count) {
  std::vector<int64_t> values;
  for (size_t i = 0; i < count; ++i) {
    values.push_back(dtype == nvinfer1::DataType::kINT64 ? static_cast<const int64_t*>(address)[i]
                                                         : static_cast<const int32_t*>(address)[i]);
  }
  return values;
}

// Empty where the context was not told an address.
std::vector<int64_t> Context::values_of(const Plan::Tensor& tensor) const {
  const void* at = address_of(tensor.name.c_str());
  if (at == nullptr) return {};
  return values_at(at, tensor.dtype, engine_->plan.values(tensor, profile_).max.size());
}

// Values that pick shapes are read on the host, when shapes are inferred and when a run is enqueued.
std::string Context::look_at_values() {
  for (const Plan::Tensor& tensor : engine_->plan.tensors) {
    if (!tensor.host || tensor.values.empty() || address_of(tensor.name.c_str()) == nullptr) continue;
    const std::vector<int64_t> values = values_of(tensor);
    if (std::exchange(values_[tensor.name], values) != values) ++state_->shapes;
    const Plan::Range& range = engine_->plan.values(tensor, profile_);
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] >= range.min[i] && values[i] <= range.max[i]) continue;
      return "Set value " + std::to_string(values[i]) + " of shape tensor " + tensor.name +
             " does not satisfy any optimization profiles.";
    }
  }
  return "";
}

int64_t Context::getMaxOutputSize(char const* name) const noexcept {
  auto guard = lock();
  if (enter("getMaxOutputSize")) return -1;
  const Plan::Tensor* tensor = engine_->find(name);
  if (tensor == nullptr || tensor->is_input) return -1;
  const auto size = static_cast<int64_t>(element_size(tensor->dtype));
  if (!tensor->nonzero) return volume(shape_of(*tensor)) * size;
  const Dims& dims = shapes_.at(engine_->plan.tensors[tensor->terms[0].input].name);
  return dims.nbDims < 0 ? -1 : dims.nbDims * volume(dims) * size;
}

// Empty when every tensor has a shape and an address that it can have, else what TensorRT would say.
std::string Context::bind(std::vector<Bound>& bound) const {
  for (const Plan::Tensor& tensor : engine_->plan.tensors) {
    const Plan::Tensor& source = tensor.is_input ? tensor : engine_->plan.tensors[tensor.terms[0].input];
    const Dims& dims = shapes_.at(source.name);
    if (dims.nbDims < 0) return "allInputDimensionsSpecified. Not all shapes are specified for input " + source.name;
    void* address = address_of(tensor.name.c_str());
    if (tensor.nonzero) {  // found when its input is there
      bound.push_back({&tensor, address, 0, kNoDims});
      continue;
    }
    if (address == nullptr) {
      return std::string("address != nullptr. ") +
             (tensor.is_input ? "Address is not set for input tensor "
                              : "Neither address or allocator is set for output tensor ") +
             tensor.name + ". Call setTensorAddress before enqueue/execute.";
    }
    if (reinterpret_cast<uintptr_t>(address) % kAlignment != 0) {
      return "isAligned. The address of tensor " + tensor.name + " is not aligned to 256 bytes";
    }
    if (tensor.alias >= 0 &&
        address != address_of(engine_->plan.tensors[static_cast<size_t>(tensor.alias)].name.c_str())) {
      return "isAliased. The output tensor " + tensor.name + " must share memory with the input it aliases";
    }
    if (tensor.host) {
      // The kernel does not read it.
      bound.push_back({&tensor, address, 0, dims, tensor.is_input ? values_of(tensor) : std::vector<int64_t>{}});
      continue;
    }
    const Dims shape = tensor.shape_from >= 0 ? shape_of(tensor) : dims;
    bound.push_back({&tensor, address, tensor.sum ? 1 : static_cast<size_t>(volume(shape)), shape});
  }
  return "";
}

// TensorRT updates its state at the first run after a change of shape, which cannot be captured.
std::string Context::check_capture(const Stream& stream) const {
  if (stream.capture == nullptr) return "";
  if (setting("capture") == 0 || !engine_->plan.capturable) return "operation not permitted when stream is capturing";
  if (warm_shapes_ != state_->shapes) return "the first enqueue after a change of shape cannot be captured";
  return "";
}

// True when the kernel can reach [address, address + bytes).
bool is_reachable(const Bound& bound, int device) {
  const Allocation* allocation = find_allocation(bound.address);
  const std::string name = std::string(kEnqueue) + ", tensor " + bound.tensor->name;
  if (allocation == nullptr && !is_device_address(bound.address)) {
    if (setting("pageable_access") != 0) return true;
    misuse(name + ": pageable host memory, which this device cannot reach");
    return false;
  }
  if (allocation != nullptr && allocation->kind != Kind::Pinned && allocation->device != device) {
    misuse(name + ": memory of device " + std::to_string(allocation->device) + ", but the engine is on " +
           std::to_string(device));
    return false;
  }
  return host_view(bound.address, bound.bytes(), name.c_str()) != nullptr;
}

std::vector<std::vector<int64_t>> nonzero_of(const Plan& plan, const std::vector<Bound>& bound, size_t output) {
  const Bound& input = bound[bound[output].tensor->terms[0].input];
  const std::byte* data = host_view(input.address, input.bytes(), kEnqueue);
  return find_nonzero({data, plan.tensors[bound[output].tensor->terms[0].input].dtype, input.elements, 1},
                      {input.shape.d, input.shape.d + input.shape.nbDims});
}

void compute(const Plan& plan, const std::vector<Bound>& bound) {
  for (size_t i = 0; i < bound.size(); ++i) {
    const Plan::Tensor& tensor = *bound[i].tensor;
    if (tensor.is_input) continue;
    if (tensor.nonzero) {
      std::byte* target = host_view(bound[i].address, bound[i].bytes(), kEnqueue);
      write_indices(nonzero_of(plan, bound, i), tensor.dtype, target);
      continue;
    }
    const double bias = tensor.bias + plan.first_of(tensor.offset, 0);
    const double scale = plan.first_of(tensor.scale, 1);
    std::vector<Operand> operands;
    for (const Plan::Term& term : tensor.terms) {
      const Bound& input = bound[term.input];
      operands.push_back({host_view(input.address, input.bytes(), kEnqueue), plan.tensors[term.input].dtype,
                          input.elements, scale * term.factor});
    }
    std::byte* target = host_view(bound[i].address, bound[i].bytes(), kEnqueue);
    if (tensor.sum) {
      compute_sum(bias, operands, tensor.dtype, target);
    } else {
      compute_affine(bias, operands, tensor.dtype, target, bound[i].elements);
    }
  }
}

// TensorRT waits for what comes before, looks at the data, asks for memory and tells the shape, all within enqueueV3.
std::string Context::find_data_dependent(std::vector<Bound>& bound, const std::shared_ptr<Stream>& stream,
                                         cudaStream_t handle) {
  for (size_t i = 0; i < bound.size(); ++i) {
    const Plan::Tensor& tensor = *bound[i].tensor;
    if (!tensor.nonzero) continue;
    if (stream->capture != nullptr) {
      stream->capture->invalid = true;
      return "1: Cuda Runtime (operation not permitted when stream is capturing)";
    }
    drain(*stream);
    if (!is_reachable(bound[tensor.terms[0].input], engine_->device)) return "1: Cuda Runtime (an illegal address)";
    const auto found = nonzero_of(engine_->plan, bound, i);
    auto allocator = allocators_.find(tensor.name);
    if (allocator == allocators_.end() || allocator->second == nullptr) {
      return "3: API Usage Error (Parameter check failed, condition: allocator. Neither address or allocator is set "
             "for "
             "output tensor " +
             tensor.name + ".)";
    }
    bound[i].shape = to_dims({static_cast<int64_t>(found.size()), static_cast<int64_t>(found[0].size())});
    bound[i].elements = found.size() * found[0].size();
    const uint64_t size = std::max<uint64_t>(bound[i].bytes(), 1);  // "always positive, even for an empty tensor"
    bound[i].address =
        allocator->second->reallocateOutputAsync(tensor.name.c_str(), bound[i].address, size, kAlignment, handle);
    if (bound[i].address == nullptr) return "2: OutOfMemory (no memory for output tensor " + tensor.name + ")";
    allocator->second->notifyShape(tensor.name.c_str(), bound[i].shape);
  }
  return "";
}

Work Context::make_work(std::vector<Bound> bound, const std::shared_ptr<Stream>& stream) const {
  // Work in flight has its shapes with it; a graph is good for those it was captured with. A graph launches on streams
  // of the caller's choice, so order is only checked for plain enqueues.
  bool captured = stream->capture != nullptr;
  Mark before = captured || state_->last.stream.lock() == stream ? Mark{} : state_->last;
  Mark shared;  // what another context does in the same memory
  if (!captured && user_managed_) {
    shared = shared_memory()[state_->memory];
    if (shared.stream.lock() == stream) shared = Mark{};
  }
  return [bound = std::move(bound), engine = engine_, state = state_, shapes = state_->shapes, before, captured, shared,
          memory = state_->memory, memories = state_->memories] {
    if (!state->alive) {
      misuse("work or a graph of an execution context that was destroyed");
      return cudaErrorIllegalAddress;
    }
    if (captured && state->shapes != shapes) {
      misuse("a graph of an execution context whose shapes have changed since");
      return cudaErrorIllegalAddress;
    }
    if (captured && state->memories != memories) {
      misuse("a graph of an execution context whose memory has changed since");
      return cudaErrorIllegalAddress;
    }
    if (memory != nullptr && find_allocation(memory) == nullptr) {
      misuse("enqueueV3: the memory given to the execution context was freed");
      return cudaErrorIllegalAddress;
    }
    if (!is_done(shared)) misuse("two execution contexts work in the same memory, with no order between them");
    if (!is_done(before)) misuse("one execution context on two streams, with no order between them");
    for (const Bound& tensor : bound) {
      if (values_at(tensor.address, tensor.tensor->dtype, tensor.values.size()) != tensor.values) {
        misuse("enqueueV3: the values of " + tensor.tensor->name + " were changed while a run was in flight");
      }
      if (tensor.elements != 0 && !is_reachable(tensor, engine->device)) return cudaErrorIllegalAddress;
    }
    compute(engine->plan, bound);
    if (engine->is_streaming()) count_bytes("streamed", engine->plan.streamable - engine->budget);
    return cudaSuccess;
  };
}

bool Context::enqueueV3(cudaStream_t handle) noexcept {
  auto guard = lock();
  auto refuse = [&](const std::string& words) {
    log_error(*engine_->runtime, kEnqueue, words);
    return false;
  };
  check_device(engine_->device, kEnqueue);
  if (!engine_->alive) misuse("enqueueV3: the engine was destroyed");
  if (auto fault = enter_tensorrt("enqueueV3")) {
    return refuse(fault_words(*fault == 0 ? cudaErrorLaunchFailure : *fault));
  }
  auto stream = find_stream(handle, kEnqueue);
  if (stream == nullptr || stream->device != engine_->device) {
    misuse("enqueueV3: not a stream of the engine's device");
    return refuse("1: Cuda Runtime (invalid resource handle)");
  }
  std::vector<Bound> bound;
  if (std::string words = look_at_values(); !words.empty()) {
    return refuse("3: API Usage Error (Parameter check failed, condition: satisfyProfile. " + words + ")");
  }
  for (const Plan::Tensor& tensor : engine_->plan.tensors) {
    if (tensor.host && tensor.is_input && told_[tensor.name] != values_of(tensor)) {
      misuse("enqueueV3: other values of " + tensor.name + " than when its address was set");
    }
  }
  if (std::string words = bind(bound); !words.empty()) {
    return refuse("3: API Usage Error (Parameter check failed, condition: " + words + ")");
  }
  if (user_managed_ && state_->memory == nullptr && engine_->plan.context() + engine_->scratch() > 0) {
    return refuse("3: API Usage Error (Parameter check failed, condition: no device memory was given)");
  }
  bool capturing = stream->capture != nullptr;
  if (std::string words = check_capture(*stream); !words.empty()) {
    stream->capture->invalid = true;
    return refuse("1: Cuda Runtime (" + words + ")");
  }
  if (!capturing) {
    if (handle == nullptr && engine_->runtime->logger != nullptr) {
      engine_->runtime->logger->log(nvinfer1::ILogger::Severity::kWARNING,
                                    "Using default stream in enqueueV3() may lead to performance issues due to "
                                    "additional calls to cudaStreamSynchronize() by TensorRT to ensure correct "
                                    "synchronization. Please use non-default stream instead.");
    }
    warm_shapes_ = state_->shapes;
    if (STANDIN_RTX_HEADERS) compile(kernels_.get(), "shapes " + shapes_text());
  }
  if (std::string words = find_data_dependent(bound, stream, handle); !words.empty()) return refuse(words);
  cudaError_t error = enqueue(*stream, make_work(std::move(bound), stream));
  if (error != cudaSuccess) return refuse(std::string("1: Cuda Runtime (") + cudaGetErrorString(error) + ")");
  if (!capturing) state_->last = mark(stream);
  if (!capturing && user_managed_) shared_memory()[state_->memory] = state_->last;
  return true;
}

}  // namespace

nvinfer1::IExecutionContext* make_context(std::shared_ptr<EngineState> state, nvinfer1::ICudaEngine& engine,
                                          bool user_managed, std::shared_ptr<Kernels> kernels) {
  constexpr const char* kWhere = "ICudaEngine::createExecutionContext";
  give_back_released(state->device);
  void* taken[3] = {};
  const Kind kinds[3] = {Kind::Weights, Kind::Scratch, Kind::Context};
  const int64_t sizes[3] = {state->weights == nullptr ? state->budget : 0, user_managed ? 0 : state->scratch(),
                            user_managed ? 0 : state->plan.context()};
  for (int i = 0; i < 3; ++i) {
    if (sizes[i] == 0) continue;
    taken[i] = allocate(kinds[i], state->device, static_cast<size_t>(sizes[i]));
    if (taken[i] != nullptr) continue;
    log_out_of_memory(*state->runtime, kWhere, sizes[i]);
    if (i < 2) {
      log_error(*state->runtime, kWhere,
                "2: OutOfMemory (Failed to allocate weight streaming device memory. Please try reducing the weight "
                "streaming budget.)");
    }
    for (int back = 0; back < i; ++back) {
      if (taken[back] != nullptr) release(taken[back], kinds[back], kWhere);
    }
    return nullptr;
  }
  if (taken[0] != nullptr) state->weights = taken[0];
  return new Face<nvinfer1::IExecutionContext, Context>(std::move(state), engine, taken[1], taken[2], user_managed,
                                                        std::move(kernels));
}

}  // namespace standin
