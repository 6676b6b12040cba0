#include "fake_engine.h"

#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/platform/runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "blob/header.h"
#include "torchtrt_ws/defaults.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::aten::ScalarType;
using executorch::runtime::Error;

Failure out_of_memory(const std::string& what) { return {ErrorCode::DoesNotFit, what, "out of memory", "", ""}; }

using Lock = std::lock_guard<std::recursive_mutex>;

/// Guards the device: engines on it run beside each other.
std::recursive_mutex& device_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

/// Weights on the device, for the engines that share them.
struct Weights {
  const int64_t streamable = device().streamable;  // as the device said when the first was opened
  int64_t budget = 0;
  int64_t resident = 0;               // held without a context
  std::vector<const void*> contexts;  // whose
  const std::vector<std::string> takes = device().takes;
  std::map<std::string, float> given;  // by refits
  bool scratch_told = false;
};

/// Doubles its input, until it has other weights. Takes memory of the device by the rules of weight streaming (design,
/// "Where device memory goes").
class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(Payload payload) : payload_(std::move(payload)) { device().payload_held = true; }
  ~FakeEngine() override {
    const Lock lock(device_mutex());
    if (weights_.use_count() == 1) device().free += weights_->resident;
    device().calls.push_back("close");
    device().payload_held = false;
  }

  Result<std::unique_ptr<Engine>> share(Payload&, const OpenRequest&) const override {
    if (!device().shares || !weights_->given.empty()) return std::unique_ptr<Engine>();
    auto engine = std::make_unique<FakeEngine>(Payload(nullptr, 0, nullptr));  // the first one's may go before it
    engine->weights_ = weights_;
    return std::unique_ptr<Engine>(std::move(engine));
  }
  const void* weights() const override { return weights_.get(); }
  std::string device_name() const override { return "fake:0"; }
  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }
  int64_t streamable_bytes() const override { return weights_->streamable; }
  int64_t budget() const override {
    const Lock lock(device_mutex());
    return weights_->budget;
  }
  Result<int64_t> automatic_budget() const override {
    return std::clamp<int64_t>(device().automatic, 0, streamable_bytes());
  }
  int64_t scratch_bytes() const override {
    const Lock lock(device_mutex());
    // As with TensorRT: it tells while it streams; else nobody may try a budget while there are contexts.
    if (weights_->contexts.empty() || streams()) weights_->scratch_told = true;
    return weights_->scratch_told ? scratch_ : 0;
  }
  int64_t device_bytes() const override {
    const Lock lock(device_mutex());
    ++device().asked;
    return held();
  }
  MemoryFacts memory() const override {
    const Lock lock(device_mutex());
    // As with TensorRT: what was never asked is not known.
    if (!counts_weights()) return {device().free + held(), context_now(), 0, 0, held()};
    return {device().free + held(), context_, weights_->scratch_told ? scratch_ : 0, streamable_bytes(), held()};
  }

  Status set_budget(int64_t bytes) override {
    if (device().on_set) device().on_set();
    const Lock lock(device_mutex());
    if (!weights_->contexts.empty()) return Failure{ErrorCode::WrongState, "budget", "a context", "none", ""};
    device().calls.push_back("set " + std::to_string(bytes));
    if (is_refused()) return Failure{device().refusal, "budget", "a fault", "none", "Try again"};
    device().free += std::exchange(weights_->resident, 0);
    weights_->budget = bytes;
    weights_->scratch_told = weights_->scratch_told || streams();
    if (bytes < streamable_bytes()) return ok_status();  // the weights come with the first context
    if (device().free < bytes) return out_of_memory("set");
    device().free -= bytes;
    weights_->resident = bytes;
    return ok_status();
  }

  EngineCounters counters() const noexcept override {
    const Lock lock(device_mutex());
    return device().counters;
  }

  bool has_context() const override {
    const Lock lock(device_mutex());
    const auto& all = weights_->contexts;
    return std::find(all.begin(), all.end(), this) != all.end();
  }

  Status make_context() override {
    const Lock lock(device_mutex());
    device().calls.push_back("make");
    if (is_refused()) return Failure{device().refusal, "context", "a fault", "none", "Try again"};
    const bool first = weights_->contexts.empty();
    const int64_t wanted = context_now() + device().granule + (first && streams() ? budget() : 0);
    if (device().free < wanted) return out_of_memory("context");
    device().free -= wanted;
    weights_->contexts.push_back(this);
    return ok_status();
  }

  void drop_context() noexcept override {
    const Lock lock(device_mutex());
    if (!has_context()) return;
    device().calls.push_back("drop");
    auto& all = weights_->contexts;
    all.erase(std::find(all.begin(), all.end(), this));
    device().free += context_now() + device().granule + (all.empty() && streams() ? budget() : 0);
  }

  bool refittable() const override { return !weights_->takes.empty(); }

  Result<std::vector<RefittableWeight>> refittable_weights() const override {
    if (!refittable()) return Engine::refittable_weights();
    std::vector<RefittableWeight> weights;
    for (const std::string& name : weights_->takes) weights.push_back({name, "float32", 1, sizeof(float)});
    return weights;
  }

  Result<UndoRefit> refit(const std::vector<NewWeight>& weights) override {
    const Lock lock(device_mutex());
    if (!weights_->contexts.empty()) return Failure{ErrorCode::WrongState, "refit", "a context", "none", ""};
    auto given = weights_->given;
    std::string call = "refit";
    for (const NewWeight& each : weights) {
      call += " " + each.name;
      std::memcpy(&given[each.name], each.data, sizeof(float));
    }
    device().calls.push_back(call);
    if (std::exchange(device().refit_fails_in, std::max(device().refit_fails_in - 1, 0)) == 1) {
      if (device().refit_throws) throw std::bad_alloc();
      return Failure{ErrorCode::EngineFault, "refit", "a fault", "none", "Try again"};
    }
    weights_->given.swap(given);
    return UndoRefit([this, before = std::move(given)] {
      const Lock undoing(device_mutex());
      device().calls.emplace_back("undo");
      weights_->given = before;
      return ok_status();
    });
  }

  Status run(const std::vector<TensorView>& inputs, OutputSink& outputs) override {
    bool fault = false;
    std::function<void()> hook;  // a copy: it may take itself away
    {
      const Lock lock(device_mutex());
      device().calls.push_back("run");
      hook = device().on_run;
    }
    if (hook) hook();
    {
      const Lock lock(device_mutex());
      fault = std::exchange(device().fault, false);
    }
    if (fault) return Failure{ErrorCode::EngineFault, "run", "a fault", "", ""};
    auto target = outputs.resize(0, inputs[0].sizes, inputs[0].rank);
    if (!target.ok()) return std::move(target).failure();
    const auto* from = static_cast<const float*>(inputs[0].data);
    auto* to = static_cast<float*>(target.value().data);
    for (size_t i = 0; i < target.value().nbytes / sizeof(float); ++i) to[i] = factor() * from[i];
    return ok_status();
  }

 private:
  /// Looked up for each element, so that a change in the middle of a run shows.
  float factor() const {
    if (!refittable()) return 2;
    std::this_thread::yield();
    const Lock lock(device_mutex());
    float sum = weights_->given.empty() ? 2 : 0;
    for (const auto& each : weights_->given) sum += each.second;
    return sum;
  }
  static bool is_refused() {
    if (device().fails_in == 0) return false;
    --device().fails_in;
    return device().fails_in == 0;
  }
  bool streams() const { return budget() < streamable_bytes(); }
  int64_t context_now() const { return context_ + (streams() ? scratch_ : 0); }
  bool counts_weights() const { return weights_->contexts.empty() || weights_->contexts.front() == this; }
  int64_t held() const {
    const int64_t weights = has_context() ? budget() : weights_->resident;
    return (counts_weights() ? weights : 0) + (has_context() ? context_now() : 0);
  }

  Payload payload_;
  std::shared_ptr<Weights> weights_ = std::make_shared<Weights>();
  const int64_t scratch_ = device().scratch;  // as the device said when this one was opened
  const int64_t context_ = device().context;
  std::vector<TensorSpec> inputs_ = {{device().input_name, ScalarType::Float, {1, 2}, {4, 2}}};
  std::vector<TensorSpec> outputs_ = {{"y", ScalarType::Float, {1, 2}, {4, 2}}};
};

std::string tensor_json(const char* name) {
  return std::string("{\"name\":\"") + name + R"(","dtype":"float32","shape":[-1,2],"min":[1,2],"max":[4,2]})";
}

}  // namespace

Device& device() {
  static Device device;
  return device;
}

Result<std::unique_ptr<Engine>> open_fake(Payload payload, const OpenRequest& request) {
  device().huge_pages = request.huge_pages;
  device().runtime_cache = request.runtime_cache;
  device().refit_cache = request.refit_cache;
  device().graphs = request.cuda_graph;
  device().margin = request.margin;
  device().engine.assign(reinterpret_cast<const char*>(payload.data()), payload.size());
  if (const auto refused = device().refuses.find(device().engine); refused != device().refuses.end()) {
    return Failure{refused->second, "engine '" + request.name + "'", "a plan that is refused", "another", ""};
  }
  if (const auto& own = request.metadata.own; own && own->weights) {
    auto weights = torchtrt_ws::Weights::find("engine '" + request.name + "'", *own->weights, request.weights);
    if (!weights.ok()) return std::move(weights).failure();
    Status same = weights.value().compare(request.verify);
    if (!same.ok()) return std::move(same).failure();
  }
  if (const auto hook = device().on_open) hook();
  return std::unique_ptr<Engine>(std::make_unique<FakeEngine>(std::move(payload)));
}

void reset_device() {
  static const bool registered = register_engine_kind("fake", &open_fake);
  static const bool described =
      register_surroundings("fake", [](const uint8_t*, uint64_t, int) { return device().here; });
  (void)registered;
  (void)described;
  executorch::runtime::runtime_init();
  device() = Device{};
  EXPECT_EQ(set_defaults({}), executorch::runtime::Error::Ok);
}

std::vector<char> make_blob(const std::string& name, int engines, const std::string& program_streamable,
                            const std::string& streamable, const std::string& kind) {
  return pack_blob(blob_json(name, engines, program_streamable, streamable, kind));
}

std::string blob_json(const std::string& name, int engines, const std::string& program_streamable,
                      const std::string& streamable, const std::string& kind) {
  return R"({"io_bindings":[{"name":"x","dtype":"float32","shape":[-1,2],"is_input":true},)"
         R"({"name":"y","dtype":"float32","shape":[-1,2],"is_input":false}],"aliased_io":[],)"
         R"("hardware_compatible":false,"device_id":0,"serialized_metadata":"","target_platform":"",)"
         R"("torchtrt_ws":{"schema":1,"name":")" +
         name + R"(","kind":")" + kind + R"(","sha256":")" + std::string(64, 'a') +
         R"(","builder":"test","streamable_bytes":)" + streamable +
         R"(,"streamable_estimated":false,"program":{"engines":)" + std::to_string(engines) +
         R"(,"streamable_bytes":)" + program_streamable + R"(},"inputs":[)" + tensor_json("x") + R"(],"outputs":[)" +
         tensor_json("y") + "]}}";
}

std::vector<char> pack_blob(const std::string& json, const std::string& engine, const std::string& magic) {
  const auto metadata_size = static_cast<uint32_t>(json.size());
  const auto engine_offset = static_cast<uint32_t>((wire::kHeaderSize + json.size() + 15) / 16 * 16);
  const uint32_t metadata_offset = wire::kHeaderSize;
  const uint64_t engine_size = engine.size();
  std::vector<char> blob(engine_offset + engine.size());
  std::copy(magic.begin(), magic.end(), blob.begin());
  std::memcpy(blob.data() + wire::kMetadataOffsetField, &metadata_offset, sizeof(metadata_offset));
  std::memcpy(blob.data() + wire::kMetadataSizeField, &metadata_size, sizeof(metadata_size));
  std::memcpy(blob.data() + wire::kEngineOffsetField, &engine_offset, sizeof(engine_offset));
  std::memcpy(blob.data() + wire::kEngineSizeField, &engine_size, sizeof(engine_size));
  blob[wire::kReservedField] = 1;
  std::memcpy(blob.data() + metadata_offset, json.data(), json.size());
  std::memcpy(blob.data() + engine_offset, engine.data(), engine.size());
  return blob;
}

executorch::runtime::OptionValue text(const std::string& value) {
  std::array<char, executorch::runtime::kMaxOptionValueLength> array{};
  std::copy(value.begin(), value.end(), array.begin());
  return array;
}

executorch::runtime::BackendInterface& backend() { return *executorch::runtime::get_backend_class(kBackendId); }

Loaded::Loaded(std::vector<char> blob, const Options& options, const Specs& specs,
               executorch::runtime::MemoryAllocator* program)
    : blob_(std::move(blob)),
      arena_(new char[4096]),
      allocator_(4096, reinterpret_cast<uint8_t*>(arena_.get())),
      processed_(blob_.data(), blob_.size(), nullptr) {
  load(options, specs, program);
}

Loaded::Loaded(executorch::runtime::FreeableBuffer blob, const Options& options,
               executorch::runtime::MemoryAllocator* program)
    : arena_(new char[4096]), allocator_(4096, reinterpret_cast<uint8_t*>(arena_.get())), processed_(std::move(blob)) {
  load(options, {}, program);
}

void Loaded::load(const Options& options, const Specs& specs, executorch::runtime::MemoryAllocator* program) {
  std::vector<executorch::runtime::BackendOption> runtime_specs;
  for (const auto& [key, value] : options) {
    executorch::runtime::BackendOption option{};
    std::copy(key.begin(), key.end(), option.key);
    option.value = value;
    runtime_specs.push_back(option);
  }
  std::vector<executorch::runtime::CompileSpec> compile_specs;
  for (const auto& [key, value] : specs) {
    compile_specs.push_back({key.c_str(), {const_cast<char*>(value.data()), value.size()}});
  }
  executorch::runtime::BackendInitContext context(
      program != nullptr ? program : &allocator_, nullptr, "forward", device().data,
      executorch::runtime::Span<const executorch::runtime::BackendOption>(runtime_specs.data(), runtime_specs.size()));
  auto loaded = backend().init(context, &processed_, {compile_specs.data(), compile_specs.size()});
  error = loaded.error();
  if (loaded.ok()) handle = *loaded;
}

Loaded::~Loaded() { backend().destroy(handle); }

Error Loaded::run(int rows, float value) {
  std::vector<float> input(static_cast<size_t>(rows) * 2, value);
  output.assign(8, -1);
  output_shape.reserve(2);  // no memory is taken after the call: a test may have none left
  auto x = executorch::extension::make_tensor_ptr({rows, 2}, input.data(), ScalarType::Float);
  auto y = executorch::extension::make_tensor_ptr({4, 2}, output.data(), ScalarType::Float);
  executorch::runtime::EValue x_value(*x), y_value(*y);
  executorch::runtime::EValue* args[] = {&x_value, &y_value};
  executorch::runtime::BackendExecutionContext context;
  const Error ran = backend().execute(context, handle, {args, 2});
  output_shape.assign(y->sizes().begin(), y->sizes().end());
  return ran;
}

}  // namespace torchtrt_ws::testing
