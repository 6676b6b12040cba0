#include <NvInferRuntime.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "../cuda/call.h"
#include "state.h"

// Runtime: reads plans, in each of the three ways TensorRT has.
namespace standin {
namespace {

#ifdef STANDIN_RTX_VERSION
constexpr bool kIsRtx = true;
constexpr int kVersion[4] = {STANDIN_RTX_VERSION};  // TensorRT-RTX counts its own versions
#else
constexpr bool kIsRtx = false;
constexpr int kVersion[4] = {NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH, NV_TENSORRT_BUILD};
#endif
constexpr const char* kMagic = kIsRtx ? "vtrt" : "ftrt";
constexpr const char* kWhere = "IRuntime::deserializeCudaEngine";

/// Where the plan comes from: `size` bytes from where the last read ended.
class Source {
 public:
  virtual ~Source() = default;
  virtual int64_t read(void* target, int64_t size) = 0;
};

class MemorySource : public Source {
 public:
  MemorySource(const void* data, size_t size) : next_(static_cast<const char*>(data)), left_(size) {}
  int64_t read(void* target, int64_t size) override {
    size_t taken = std::min(left_, static_cast<size_t>(size));
    if (taken != 0) std::memcpy(target, next_, taken);
    next_ += taken;
    left_ -= taken;
    return static_cast<int64_t>(taken);
  }

 private:
  const char* next_;
  size_t left_;
};

#if !STANDIN_LAYOUT_11
class ReaderSource : public Source {
 public:
  explicit ReaderSource(nvinfer1::IStreamReader& reader) : reader_(reader) {}
  int64_t read(void* target, int64_t size) override { return reader_.read(target, size); }

 private:
  nvinfer1::IStreamReader& reader_;
};
#endif

// The reader may copy asynchronously, so every read is waited for.
class ReaderV2Source : public Source {
 public:
  explicit ReaderV2Source(nvinfer1::IStreamReaderV2& reader) : reader_(reader) {}
  int64_t read(void* target, int64_t size) override {
    if (setting("read_to_device") == 0 || size < 64) return reader_.read(target, size, nullptr);
    void* device = allocate(Kind::Context, current_device(), static_cast<size_t>(size));
    if (device == nullptr) return -1;
    int64_t taken = reader_.read(device, size, nullptr);
    if (cudaStreamSynchronize(nullptr) != cudaSuccess) taken = -1;
    if (taken > 0) {
      std::memcpy(target, host_view(device, static_cast<size_t>(size), kWhere), static_cast<size_t>(taken));
    }
    release(device, Kind::Context, kWhere);
    return taken;
  }

 private:
  nvinfer1::IStreamReaderV2& reader_;
};

struct Header {
  char magic[4];
  char tag[12];
  uint64_t size;
  uint8_t version[4];
  uint32_t text_size;
};
static_assert(sizeof(Header) == kPlanHeaderSize);

std::string dotted(const int* version) {
  std::string text;
  for (int i = 0; i < 4; ++i) text += (i == 0 ? "" : ".") + std::to_string(version[i]);
  return text;
}

std::string header_error(const Header& header) {
  if (std::memcmp(header.magic, kMagic, 4) != 0 || std::memcmp(header.tag, kPlanTag, 12) != 0) {
    return "1: Serialization (Serialization assertion header.magicTag == kEXPECTED_MAGIC_TAG failed.)";
  }
  int version[4];
  std::copy(std::begin(header.version), std::end(header.version), version);
  if (!std::equal(version, version + 3, kVersion)) {
    return "6: API Usage Error (The engine plan file is not compatible with this version of TensorRT, expecting "
           "library "
           "version " +
           dotted(kVersion) + " got " + dotted(version) + ", please rebuild.)";
  }
  if (header.size < kPlanHeaderSize + 4 || header.text_size > header.size - kPlanHeaderSize - 4) {
    return "1: Serialization (Serialization assertion plan->header.size == blobSize failed.)";
  }
  return "";
}

std::string device_error(const Plan& plan) {
  if (plan.platform != "linux_x86_64") {
    return "6: API Usage Error (The engine plan file is not compatible with the platform linux_x86_64, it was built "
           "for " +
           plan.platform + ".)";
  }
  auto compute = static_cast<int>(setting("compute"));
  if (plan.compute == 0 || plan.compute == compute) return "";
  auto dotted = [](int value) { return std::to_string(value / 10) + "." + std::to_string(value % 10); };
  return "6: API Usage Error (The engine plan file is generated on an incompatible device, expecting compute " +
         dotted(compute) + " got compute " + dotted(plan.compute) + ", please rebuild.)";
}

// Reads the rest of the plan, in reads of at most the setting `read_chunk`; false when it ends early.
bool read_rest(Source& source, std::vector<char>& rest) {
  int64_t chunk = setting("read_chunk");
  for (size_t done = 0; done < rest.size();) {
    auto left = static_cast<int64_t>(rest.size() - done);
    int64_t taken = source.read(rest.data() + done, chunk > 0 ? std::min(chunk, left) : left);
    if (taken <= 0) return false;
    done += static_cast<size_t>(taken);
  }
  return true;
}

std::string read_plan(Source& source, Plan& plan) {
  Header header;
  const char* cut =
      "1: Serialization (Serialization assertion plan->header.size == blobSize failed. The plan ends early.)";
  if (source.read(&header, sizeof header) != static_cast<int64_t>(sizeof header)) return cut;
  if (std::string error = header_error(header); !error.empty()) return error;
  std::vector<char> text(header.text_size);
  if (source.read(text.data(), header.text_size) != static_cast<int64_t>(header.text_size)) return cut;
  std::vector<char> rest(header.size - kPlanHeaderSize - header.text_size);
  if (!read_rest(source, rest)) return cut;
  uint32_t crc = crc32(crc32(0, &header, sizeof header), text.data(), text.size());
  uint32_t written;
  std::memcpy(&written, rest.data() + rest.size() - 4, 4);
  if (crc32(crc, rest.data(), rest.size() - 4) != written) {
    return "1: Serialization (Serialization assertion checksum == plan->checksum failed.)";
  }
  std::string error = parse_plan_text(std::string(text.begin(), text.end()), plan);
  return error.empty() ? device_error(plan) : "4: Internal Error (" + error + ")";
}

class Runtime final : public nvinfer1::apiv::VRuntime {
 public:
  Runtime(nvinfer1::IRuntime& face, nvinfer1::ILogger* logger)
      : face_(face), state_(std::make_shared<RuntimeState>(RuntimeState{logger, current_device()})) {
    count_live("runtime", 1);
  }

  ~Runtime() noexcept override {
    auto guard = lock();
    if (state_->engines > 0) misuse("~IRuntime: destroyed before its engines");
    state_->alive = false;
    count_live("runtime", -1);
  }

  nvinfer1::IRuntime* getPImpl() noexcept override { return &face_; }

  nvinfer1::ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept override {
    MemorySource source(blob, size);
    return deserialize(source);
  }
#if !STANDIN_LAYOUT_11
  nvinfer1::ICudaEngine* deserializeCudaEngine(nvinfer1::IStreamReader& reader) noexcept override {
    ReaderSource source(reader);
    return deserialize(source);
  }
#endif
  nvinfer1::ICudaEngine* deserializeCudaEngineV2(nvinfer1::IStreamReaderV2& reader) noexcept override {
    ReaderV2Source source(reader);
    return deserialize(source);
  }

  void setErrorRecorder(nvinfer1::IErrorRecorder* recorder) noexcept override { recorder_ = recorder; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return recorder_; }
  nvinfer1::ILogger* getLogger() const noexcept override { return state_->logger; }
  bool setMaxThreads(int32_t threads) noexcept override {
    threads_ = threads;
    return threads > 0;
  }
  int32_t getMaxThreads() const noexcept override { return threads_; }

  // Host code from a plan is as good as any downloaded program; nothing here has a reason to allow it.
  void setEngineHostCodeAllowed(bool allowed) noexcept override {
    auto guard = lock();
    enter("setEngineHostCodeAllowed", false);
    if (allowed) misuse("setEngineHostCodeAllowed(true)");
  }
  bool getEngineHostCodeAllowed() const noexcept override { return false; }

  void setDLACore(int32_t) noexcept override { absent("IRuntime::setDLACore"); }
  int32_t getDLACore() const noexcept override { return -1; }
  int32_t getNbDLACores() const noexcept override { return 0; }
  void setGpuAllocator(nvinfer1::IGpuAllocator*) noexcept override { absent("IRuntime::setGpuAllocator"); }
  void setTemporaryDirectory(char const*) noexcept override { absent("IRuntime::setTemporaryDirectory"); }
  char const* getTemporaryDirectory() const noexcept override { return ""; }
  void setTempfileControlFlags(nvinfer1::TempfileControlFlags) noexcept override {}
  nvinfer1::TempfileControlFlags getTempfileControlFlags() const noexcept override { return 0; }
  nvinfer1::IPluginRegistry& getPluginRegistry() noexcept override { absent("IRuntime::getPluginRegistry"); }
  void setPluginRegistryParent(nvinfer1::IPluginRegistry*) noexcept override {
    absent("IRuntime::setPluginRegistryParent");
  }
  nvinfer1::IRuntime* loadRuntime(char const*) noexcept override { absent("IRuntime::loadRuntime"); }

#if STANDIN_RTX_HEADERS
  int64_t getEngineHeaderSize() const noexcept override { return static_cast<int64_t>(kPlanHeaderSize); }

  // What a test set, of a plan that is ours; it sees the header and nothing else.
  nvinfer1::EngineValidity getEngineValidity(void const* blob, int64_t size,
                                             uint64_t* diagnostics) const noexcept override {
    auto guard = lock();
    enter("getEngineValidity", false);
    if (size != static_cast<int64_t>(kPlanHeaderSize)) misuse("getEngineValidity: not the header alone");
    const bool ours = size >= 4 && std::memcmp(blob, kMagic, 4) == 0;
    const int64_t said = ours ? setting("validity") : static_cast<int64_t>(nvinfer1::EngineValidity::kINVALID);
    *diagnostics = ours ? static_cast<uint64_t>(setting("diagnostics"))
                        : static_cast<uint64_t>(nvinfer1::EngineInvalidityDiagnostics::kMALFORMED_ENGINE);
    return static_cast<nvinfer1::EngineValidity>(said);
  }
#if NV_TENSORRT_MINOR >= 6
  void setDeferredWeightsLoading(bool) noexcept override { absent("IRuntime::setDeferredWeightsLoading"); }
  bool getDeferredWeightsLoading() const noexcept override { return false; }
#endif
#endif

 private:
  nvinfer1::ICudaEngine* deserialize(Source& source) {
    auto guard = lock();
    check_device(state_->device, kWhere);
    if (auto fault = enter_tensorrt("deserializeCudaEngine")) {
      log_error(*state_, kWhere, fault_words(*fault));
      return nullptr;
    }
    auto engine = std::make_shared<EngineState>();
    if (std::string error = read_plan(source, engine->plan); !error.empty()) {
      log_error(*state_, kWhere, error);
      return nullptr;
    }
    return finish(std::move(engine));
  }

  // Weights that cannot stream go to the device now, the others when a budget is set or a context made.
  nvinfer1::ICudaEngine* finish(std::shared_ptr<EngineState> engine) {
    engine->runtime = state_;
    engine->device = current_device();
    if (!engine->plan.streaming) engine->plan.streamable = 0;
    engine->budget = engine->plan.streamable;
    int64_t resident = engine->plan.resident;
    if (resident > 0) {
      engine->resident = allocate(Kind::Weights, engine->device, static_cast<size_t>(resident));
      if (engine->resident == nullptr) {
        log_out_of_memory(*state_, kWhere, resident);
        return nullptr;
      }
    }
    return make_engine(std::move(engine));
  }

  nvinfer1::IRuntime& face_;
  std::shared_ptr<RuntimeState> state_;
  nvinfer1::IErrorRecorder* recorder_ = nullptr;
  int32_t threads_ = 1;
};

}  // namespace

std::vector<uint8_t> write_plan(const std::string& text) {
  Header header{};
  std::memcpy(header.magic, kMagic, 4);
  std::memcpy(header.tag, kPlanTag, 12);
  header.size = sizeof header + text.size() + 4;
  for (int i = 0; i < 4; ++i) header.version[i] = static_cast<uint8_t>(kVersion[i]);
  header.text_size = static_cast<uint32_t>(text.size());
  std::vector<uint8_t> bytes(header.size);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, text.data(), text.size());
  const uint32_t crc = crc32(0, bytes.data(), bytes.size() - 4);
  std::memcpy(bytes.data() + bytes.size() - 4, &crc, 4);
  return bytes;
}

nvinfer1::IRuntime* make_runtime(nvinfer1::ILogger* logger) { return new Face<nvinfer1::IRuntime, Runtime>(logger); }

}  // namespace standin

#define STANDIN_EXPORT __attribute__((visibility("default")))

extern "C" {

// The version is that of the caller's headers; TensorRT-RTX counts its own and takes them all.
STANDIN_EXPORT void* createInferRuntime_INTERNAL(void* logger, int32_t version) noexcept {
  auto guard = standin::lock();
  auto* log = static_cast<nvinfer1::ILogger*>(logger);
  standin::RuntimeState words{log, 0};
  auto injected = standin::enter_tensorrt("createInferRuntime");
  if (injected && (*injected == 0 || standin::kIsRtx)) {  // one in text, the other by number: TensorRT has both
    standin::log_error(words, "createInferRuntime", standin::fault_words(*injected));
    return nullptr;
  }
  int error = static_cast<int>(standin::setting("devices") == 0 ? cudaErrorNoDevice : standin::driver_error());
  if (injected) error = *injected;
  if (error != 0) {
    standin::log_error(words, "createInferRuntime",
                       "6: API Usage Error (CUDA initialization failure with error: " + std::to_string(error) + ")");
    return nullptr;
  }
  if (!standin::kIsRtx && version / 10000 != standin::kVersion[0]) {
    standin::log_error(words, "createInferRuntime", "6: API Usage Error (version of headers does not match)");
    return nullptr;
  }
  return standin::make_runtime(log);
}

STANDIN_EXPORT void* createInferRefitter_INTERNAL(void* engine, void* logger, int32_t) noexcept {
  auto guard = standin::lock();
  auto state = standin::state_of(*static_cast<nvinfer1::ICudaEngine*>(engine));
  if (auto injected = standin::enter_tensorrt("createInferRefitter")) {
    standin::log_error(*state->runtime, "createInferRefitter", standin::fault_words(*injected));
    return nullptr;
  }
  if (state->plan.refittable == standin::Plan::kNot) {
    standin::log_misuse(*state->runtime, "createInferRefitter", "engine.isRefittable()",
                        "The engine is not refittable.");
    return nullptr;
  }
  return standin::make_refitter(std::move(state), static_cast<nvinfer1::ILogger*>(logger));
}

STANDIN_EXPORT int32_t getInferLibVersion() noexcept {
  return standin::kVersion[0] * 10000 + standin::kVersion[1] * 100 + standin::kVersion[2];
}
STANDIN_EXPORT int32_t getInferLibMajorVersion() noexcept { return standin::kVersion[0]; }
STANDIN_EXPORT int32_t getInferLibMinorVersion() noexcept { return standin::kVersion[1]; }
STANDIN_EXPORT int32_t getInferLibPatchVersion() noexcept { return standin::kVersion[2]; }
STANDIN_EXPORT int32_t getInferLibBuildVersion() noexcept { return standin::kVersion[3]; }

}  // extern "C"
