// The floor of benchmarks/gpu: one plan with bare TensorRT. It loads the plan through a stream reader, sets a budget,
// makes a context, and times enqueueV3 with its tensors in device memory on a stream of its own, plainly and as a CUDA
// graph, and with copies from and to host memory around it, pageable and pinned. One process measures one budget, so
// that the host's peak is that of one load. One JSON object on stdout; sizes are bytes.
//
//   g++ -std=c++17 -O2 -I<TensorRT include> -I<CUDA include> floor.cpp -o floor -L<CUDA lib> -lcudart -ldl
//   floor --library libtensorrt_rtx.so.1 --plan FILE [--offset N --size N] [--percent P | --budget N] [--shape
//   x=16,1024]...
//         [--runs N] [--bandwidth] [--changes N]
//
// `--offset` and `--size` take the plan out of a .pte (`torchtrt-ws inspect --json` prints them). Shapes that are not
// given are the optimum of optimization profile 0. Inputs are zeros. `--bandwidth` adds the speed of pinned copies to
// the device.

// `--part OFFSET:SIZE`, once for each engine, with `--leave-free N`: instead of all this, the engines one after the
// other, each with TensorRT's own automatic budget, on a device that is filled until N bytes are free; budget and
// microseconds of each, or why it failed.
//
// `--captures N --other sync|load`: instead of all this, N captures of a call into a CUDA graph while another thread
// synchronizes the device, or loads and runs the plan, over and over: CUDA breaks such captures. After each the context
// makes a plain call. How many broke, and whether a plain call failed after that; where TensorRT does not survive it
// the exit code says so. With `--graphs library` TensorRT-RTX makes the graphs itself (CudaGraphStrategy), in the first
// calls of a context that is new each time; that needs a floor built with TensorRT-RTX's own headers.
//
// `--changes` adds what TensorRT keeps after that many changes of budget, each with a context that is made, run once
// and destroyed: the growth over the last nine tenths of them.

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "floor: %s\n", message.c_str());
  std::exit(1);
}

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) die(std::string(what) + ": " + cudaGetErrorString(error));
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Options {
  std::string library;
  std::string plan;
  int64_t offset = 0;
  int64_t size = -1;     // to the end of the file
  double percent = 100;  // of the streamable weights
  int64_t budget = -1;   // beats percent
  int runs = 300;
  bool bandwidth = false;
  int changes = 0;
  int captures = 0;
  std::string other = "sync";
  std::string graphs = "ours";
  int64_t leave_free = 0;
  std::vector<std::pair<int64_t, int64_t>> parts;  // offset and size
  std::map<std::string, std::vector<int64_t>> shapes;
};

void read_shape(const std::string& text, Options& options) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) die("--shape wants NAME=2,3, found " + text);
  std::vector<int64_t>& shape = options.shapes[text.substr(0, equals)];
  std::istringstream sizes(text.substr(equals + 1));
  for (std::string size; std::getline(sizes, size, ',');) shape.push_back(std::stoll(size));
}

void read_part(const std::string& text, Options& options) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) die("--part wants OFFSET:SIZE, found " + text);
  options.parts.emplace_back(std::stoll(text.substr(0, colon)), std::stoll(text.substr(colon + 1)));
}

Options read_options(int argc, char** argv) {
  Options options;
  const std::map<std::string, std::function<void(const std::string&)>> known = {
      {"--library", [&](const std::string& value) { options.library = value; }},
      {"--plan", [&](const std::string& value) { options.plan = value; }},
      {"--offset", [&](const std::string& value) { options.offset = std::stoll(value); }},
      {"--size", [&](const std::string& value) { options.size = std::stoll(value); }},
      {"--percent", [&](const std::string& value) { options.percent = std::stod(value); }},
      {"--budget", [&](const std::string& value) { options.budget = std::stoll(value); }},
      {"--changes", [&](const std::string& value) { options.changes = std::stoi(value); }},
      {"--captures", [&](const std::string& value) { options.captures = std::stoi(value); }},
      {"--other", [&](const std::string& value) { options.other = value; }},
      {"--graphs", [&](const std::string& value) { options.graphs = value; }},
      {"--part", [&](const std::string& value) { read_part(value, options); }},
      {"--leave-free", [&](const std::string& value) { options.leave_free = std::stoll(value); }},
      {"--runs", [&](const std::string& value) { options.runs = std::stoi(value); }},
      {"--shape", [&](const std::string& value) { read_shape(value, options); }},
  };
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--bandwidth") {
      options.bandwidth = true;
      continue;
    }
    const auto option = known.find(argv[i]);
    if (option == known.end() || i + 1 == argc) die(std::string("does not know, or misses a value of, ") + argv[i]);
    option->second(argv[++i]);
  }
  if (options.library.empty() || options.plan.empty()) die("needs --library and --plan");
  if (options.runs < 1) die("--runs: found " + std::to_string(options.runs) + "; expected 1 or more");
  return options;
}

class Logger final : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (severity <= Severity::kWARNING) std::fprintf(stderr, "TensorRT: %s\n", message);
  }
};

/// Reads a part of a file with pread(): no mapping, so the host's peak has the plan in it only once.
class FileReader final : public nvinfer1::IStreamReaderV2 {
 public:
  FileReader(const std::string& path, int64_t offset, int64_t size)
      : file_(open(path.c_str(), O_RDONLY)), start_(offset) {
    struct stat status{};
    if (file_ < 0 || fstat(file_, &status) != 0) die("cannot read " + path);
    size_ = size < 0 ? status.st_size - offset : size;
    if (offset < 0 || size_ <= 0 || size_ > status.st_size - offset) die("the part lies outside " + path);
  }
  ~FileReader() override { close(file_); }

  int64_t read(void* destination, int64_t bytes, cudaStream_t stream) noexcept override {
    cudaPointerAttributes attributes{};
    const bool device =
        cudaPointerGetAttributes(&attributes, destination) == cudaSuccess && attributes.type == cudaMemoryTypeDevice;
    const int64_t wanted = std::min(bytes, size_ - position_);
    for (int64_t done = 0; done < wanted;) {
      auto* to = static_cast<char*>(destination) + done;
      const int64_t got = device ? read_piece_to_device(to, wanted - done, stream) : read_piece(to, wanted - done);
      if (got <= 0) return -1;
      done += got;
      position_ += got;
    }
    return std::max<int64_t>(wanted, 0);
  }

  bool seek(int64_t offset, nvinfer1::SeekPosition where) noexcept override {
    const int64_t base = where == nvinfer1::SeekPosition::kSET   ? 0
                         : where == nvinfer1::SeekPosition::kCUR ? position_
                                                                 : size_;
    if (offset < -base || offset > size_ - base) return false;
    position_ = base + offset;
    return true;
  }

  int64_t size() const { return size_; }

 private:
  int64_t read_piece(void* to, int64_t bytes) const noexcept {
    return pread(file_, to, static_cast<size_t>(bytes), start_ + position_);
  }

  int64_t read_piece_to_device(void* to, int64_t bytes, cudaStream_t stream) noexcept {
    piece_.resize(size_t{8} << 20);
    const int64_t got = read_piece(piece_.data(), std::min(bytes, static_cast<int64_t>(piece_.size())));
    if (got <= 0) return got;
    if (cudaMemcpyAsync(to, piece_.data(), static_cast<size_t>(got), cudaMemcpyHostToDevice, stream) != cudaSuccess)
      return -1;
    return cudaStreamSynchronize(stream) == cudaSuccess ? got : -1;
  }

  int file_;
  int64_t start_;
  int64_t size_ = 0;
  int64_t position_ = 0;
  std::vector<char> piece_;
};

/// A line of /proc/self/status in bytes: VmRSS, VmHWM.
int64_t memory_status(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(key + ":", 0) == 0) return std::stoll(line.substr(key.size() + 1)) * 1024;
  }
  return -1;
}

/// Makes VmHWM start again at VmRSS (proc(5), clear_refs).
bool restart_peak() { return static_cast<bool>(std::ofstream("/proc/self/clear_refs") << "5" << std::flush); }

int64_t free_on_device() {
  size_t free = 0;
  size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return static_cast<int64_t>(free);
}

struct Loaded {
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  std::shared_ptr<void> config;  // the context's own
  std::unique_ptr<nvinfer1::IExecutionContext> context;
};

struct LoadReport {
  int64_t plan_bytes, streamable, budget, scratch, context_bytes;
  int32_t version;
  double runtime_seconds, deserialize_seconds, budget_seconds, context_seconds;
  int64_t host_before, host_peak;  // host_peak: -1 where /proc/self/clear_refs is not writable
  int64_t device_bytes;
};

std::unique_ptr<nvinfer1::IRuntime> make_runtime(const std::string& library, nvinfer1::ILogger& logger,
                                                 int32_t& version) {
  void* handle = dlopen(library.c_str(), RTLD_NOW);
  if (handle == nullptr) die(dlerror());
  const auto create = reinterpret_cast<void* (*)(void*, int32_t)>(dlsym(handle, "createInferRuntime_INTERNAL"));
  const auto get_version = reinterpret_cast<int32_t (*)()>(dlsym(handle, "getInferLibVersion"));
  if (create == nullptr || get_version == nullptr) die(library + " is no TensorRT runtime");
  version = get_version();
  auto* runtime = static_cast<nvinfer1::IRuntime*>(create(&logger, NV_TENSORRT_VERSION));
  if (runtime == nullptr) die("no runtime");
  return std::unique_ptr<nvinfer1::IRuntime>(runtime);
}

LoadReport load(const Options& options, nvinfer1::ILogger& logger, Loaded& loaded) {
  LoadReport report{};
  FileReader reader(options.plan, options.offset, options.size);
  report.plan_bytes = reader.size();
  const int64_t free_before = free_on_device();
  const bool has_peak = restart_peak();
  report.host_before = memory_status("VmRSS");
  // TensorRT's library is part of it: a delegate loads it with the first engine.
  Clock::time_point start = Clock::now();
  loaded.runtime = make_runtime(options.library, logger, report.version);
  report.runtime_seconds = seconds_since(start);
  start = Clock::now();
  loaded.engine.reset(loaded.runtime->deserializeCudaEngine(reader));
  if (loaded.engine == nullptr) die("the plan was refused");
  report.deserialize_seconds = seconds_since(start);
  nvinfer1::ICudaEngine& engine = *loaded.engine;
  report.streamable = engine.getStreamableWeightsSize();
  start = Clock::now();
  if (report.streamable > 0) {
    const auto share = static_cast<int64_t>(static_cast<double>(report.streamable) * options.percent / 100);
    const int64_t budget = options.budget >= 0 ? options.budget : options.percent >= 100 ? report.streamable : share;
    if (!engine.setWeightStreamingBudgetV2(budget)) die("the budget was refused");
    report.budget = engine.getWeightStreamingBudgetV2();
    report.scratch = engine.getWeightStreamingScratchMemorySize();
  }
  report.budget_seconds = seconds_since(start);
  start = Clock::now();
  loaded.context.reset(engine.createExecutionContext());
  if (loaded.context == nullptr) die("no execution context");
  report.context_seconds = seconds_since(start);
  report.context_bytes = engine.getDeviceMemorySizeV2();
  report.host_peak = has_peak ? memory_status("VmHWM") : -1;
  report.device_bytes = free_before - free_on_device();
  return report;
}

size_t bytes_per_element(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kINT64:
      return 8;
    case nvinfer1::DataType::kFLOAT:
    case nvinfer1::DataType::kINT32:
      return 4;
    case nvinfer1::DataType::kHALF:
    case nvinfer1::DataType::kBF16:
      return 2;
    default:
      return 1;
  }
}

nvinfer1::Dims input_shape(const Options& options, const nvinfer1::ICudaEngine& engine, const char* name) {
  const auto given = options.shapes.find(name);
  if (given == options.shapes.end()) return engine.getProfileShape(name, 0, nvinfer1::OptProfileSelector::kOPT);
  nvinfer1::Dims shape{};
  shape.nbDims = static_cast<int32_t>(given->second.size());
  if (shape.nbDims > nvinfer1::Dims::MAX_DIMS) die("too many dimensions");
  std::copy(given->second.begin(), given->second.end(), shape.d);
  return shape;
}

/// Binds every tensor to device memory of its own, which later calls use again. It stays until the process ends. False
/// when the device has none left.
bool try_bind(const Options& options, nvinfer1::ICudaEngine& engine, nvinfer1::IExecutionContext& context) {
  const int32_t tensors = engine.getNbIOTensors();
  for (int32_t i = 0; i < tensors; ++i) {
    const char* name = engine.getIOTensorName(i);
    if (engine.getTensorIOMode(name) != nvinfer1::TensorIOMode::kINPUT) continue;
    if (!context.setInputShape(name, input_shape(options, engine, name))) die(std::string("shape of ") + name);
  }
  if (context.inferShapes(0, nullptr) != 0) die("the shapes of the outputs are not known");
  for (int32_t i = 0; i < tensors; ++i) {
    const char* name = engine.getIOTensorName(i);
    const nvinfer1::Dims shape = context.getTensorShape(name);
    size_t bytes = bytes_per_element(engine.getTensorDataType(name));
    for (int32_t d = 0; d < shape.nbDims; ++d) bytes *= static_cast<size_t>(shape.d[d]);
    static std::map<std::pair<const void*, std::string>, void*> kept;
    void*& memory = kept[{&engine, name}];
    if (memory == nullptr && cudaMalloc(&memory, std::max<size_t>(bytes, 1)) != cudaSuccess) {
      (void)cudaGetLastError();
      return false;
    }
    check(cudaMemset(memory, 0, std::max<size_t>(bytes, 1)), "cudaMemset");
    if (!context.setTensorAddress(name, memory)) die(std::string("address of ") + name);
  }
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  return true;
}

void bind(const Options& options, nvinfer1::ICudaEngine& engine, nvinfer1::IExecutionContext& context) {
  if (!try_bind(options, engine, context)) die("no device memory for the tensors");
}

/// Microseconds of each call, from its start until the stream is idle; sorted.
std::vector<double> measure(int runs, cudaStream_t stream, const std::function<void()>& call) {
  std::vector<double> samples;
  const int warm_up = std::max(3, runs / 10);
  for (int i = 0; i < warm_up + runs; ++i) {
    const Clock::time_point start = Clock::now();
    call();
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    if (i >= warm_up) samples.push_back(seconds_since(start) * 1e6);
  }
  std::sort(samples.begin(), samples.end());
  return samples;
}

std::string as_json(const std::vector<double>& sorted) {
  const auto at = [&sorted](double share) {
    return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * static_cast<double>(sorted.size())))];
  };
  char text[128];
  std::snprintf(text, sizeof(text), "{\"p50\": %.2f, \"p10\": %.2f, \"p90\": %.2f, \"runs\": %zu}", at(0.5), at(0.1),
                at(0.9), sorted.size());
  return text;
}

/// The same calls with their tensors in host memory: a copy of each to the device before, and from it after.
std::string measure_host(int runs, cudaStream_t stream, Loaded& loaded, bool pinned) {
  struct Copy {
    void* host;
    void* device;
    size_t bytes;
    bool is_input;
  };
  std::vector<Copy> copies;
  std::vector<std::vector<char>> pageable;
  for (int32_t i = 0; i < loaded.engine->getNbIOTensors(); ++i) {
    const char* name = loaded.engine->getIOTensorName(i);
    const nvinfer1::Dims shape = loaded.context->getTensorShape(name);
    size_t bytes = bytes_per_element(loaded.engine->getTensorDataType(name));
    for (int32_t d = 0; d < shape.nbDims; ++d) bytes *= static_cast<size_t>(shape.d[d]);
    const bool is_input = loaded.engine->getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
    void* host = nullptr;
    if (pinned) {
      check(cudaMallocHost(&host, bytes), "cudaMallocHost");  // stays until the process ends
    } else {
      host = pageable.emplace_back(bytes).data();
    }
    copies.push_back({host, const_cast<void*>(loaded.context->getTensorAddress(name)), bytes, is_input});
  }
  return as_json(measure(runs, stream, [&] {
    for (const Copy& copy : copies) {
      if (!copy.is_input) continue;
      check(cudaMemcpyAsync(copy.device, copy.host, copy.bytes, cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
    }
    if (!loaded.context->enqueueV3(stream)) die("enqueueV3 failed");
    for (const Copy& copy : copies) {
      if (copy.is_input) continue;
      check(cudaMemcpyAsync(copy.host, copy.device, copy.bytes, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
    }
  }));
}

/// The same calls as a CUDA graph; "null" where TensorRT does not let itself be captured.
std::string measure_graph(int runs, cudaStream_t stream, nvinfer1::IExecutionContext& context) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  const bool enqueued = context.enqueueV3(stream);
  const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
  cudaGraphExec_t executable = nullptr;
  if (!enqueued || ended != cudaSuccess || cudaGraphInstantiate(&executable, graph, 0) != cudaSuccess) {
    (void)cudaGetLastError();
    return "null";
  }
  return as_json(measure(runs, stream, [&] { check(cudaGraphLaunch(executable, stream), "cudaGraphLaunch"); }));
}

/// Bytes a second from pinned memory to the device.
double pinned_bandwidth(cudaStream_t stream) {
  constexpr size_t kBytes = size_t{256} << 20;
  void* host = nullptr;
  void* device = nullptr;
  check(cudaMallocHost(&host, kBytes), "cudaMallocHost");
  check(cudaMalloc(&device, kBytes), "cudaMalloc");
  const std::vector<double> samples = measure(10, stream, [&] {
    check(cudaMemcpyAsync(device, host, kBytes, cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
  });
  check(cudaFreeHost(host), "cudaFreeHost");
  check(cudaFree(device), "cudaFree");
  return static_cast<double>(kBytes) / (samples[samples.size() / 2] * 1e-6);
}

/// Takes memory of the device until `bytes` are free.
void fill(int64_t bytes) {
  for (size_t piece = size_t{1} << 30; piece >= (size_t{1} << 20); piece /= 2) {
    while (free_on_device() - static_cast<int64_t>(piece) >= bytes) {
      void* memory = nullptr;
      if (cudaMalloc(&memory, piece) != cudaSuccess) break;
    }
  }
  (void)cudaGetLastError();
}

/// The parts of the file as engines side by side, each with the budget that TensorRT chooses when its turn comes.
void several(const Options& options, nvinfer1::ILogger& logger) {
  int32_t version = 0;
  const auto runtime = make_runtime(options.library, logger, version);
  {  // what the library keeps for the process is there before the device is filled
    FileReader reader(options.plan, options.parts.back().first, options.parts.back().second);
    const std::unique_ptr<nvinfer1::ICudaEngine> warm(runtime->deserializeCudaEngine(reader));
    if (warm == nullptr) die("the plan was refused");
    const std::unique_ptr<nvinfer1::IExecutionContext> context(warm->createExecutionContext());
  }
  fill(options.leave_free);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  std::vector<std::pair<std::unique_ptr<nvinfer1::ICudaEngine>, std::unique_ptr<nvinfer1::IExecutionContext>>> loaded;
  std::printf("{\"free\": %" PRId64 ", \"engines\": [", free_on_device());
  const char* comma = "";
  for (const auto& [offset, size] : options.parts) {
    std::printf("%s", std::exchange(comma, ", "));
    FileReader reader(options.plan, offset, size);
    auto& [engine, context] = loaded.emplace_back();
    engine.reset(runtime->deserializeCudaEngine(reader));
    if (engine == nullptr) {
      std::printf("{\"failed\": \"deserialize\"}");
      continue;
    }
    const int64_t budget = engine->getWeightStreamingAutomaticBudget();
    const bool set = engine->setWeightStreamingBudgetV2(budget);
    if (set) context.reset(engine->createExecutionContext());
    if (context == nullptr) {
      std::printf("{\"budget\": %" PRId64 ", \"failed\": \"%s\"}", budget, set ? "context" : "budget");
      continue;
    }
    std::printf("{\"budget\": %" PRId64 ", \"streamable\": %" PRId64, engine->getWeightStreamingBudgetV2(),
                engine->getStreamableWeightsSize());
    if (!try_bind(options, *engine, *context)) {
      std::printf(", \"failed\": \"tensors\"}");
      continue;
    }
    const auto call = [&, running = context.get()] {
      if (!running->enqueueV3(stream)) die("enqueueV3 failed");
    };
    std::printf(", \"us\": %s}", as_json(measure(options.runs, stream, call)).c_str());
  }
  std::printf("], \"left\": %" PRId64 "}\n", free_on_device());
}

struct Growth {
  int64_t host = 0;
  int64_t device = 0;
};

/// What stays allocated from one context to the next.
Growth grow(const Options& options, Loaded& loaded, cudaStream_t stream) {
  Growth start;
  const int64_t all = loaded.engine->getStreamableWeightsSize();
  const auto change = [&](int64_t budget) {
    loaded.context.reset();
    if (!loaded.engine->setWeightStreamingBudgetV2(budget)) die("a budget was refused");
    loaded.context.reset(loaded.engine->createExecutionContext());
    if (loaded.context == nullptr) die("no execution context");
    bind(options, *loaded.engine, *loaded.context);
    if (!loaded.context->enqueueV3(stream)) die("enqueueV3 failed");
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  };
  for (int i = 0; i < options.changes; ++i) {
    change(all * (i * 7 % 11) / 10);
    if (i != options.changes / 10) continue;
    change(0);  // the same budget at both readings
    start = {memory_status("VmRSS"), free_on_device()};
  }
  change(0);
  return {memory_status("VmRSS") - start.host, start.device - free_on_device()};
}

/// What another thread does that breaks captures: until `stop`.
void disturb(const Options& options, nvinfer1::IRuntime& runtime, const std::atomic<bool>& stop) {
  while (!stop) {
    if (options.other == "sync") {
      (void)cudaDeviceSynchronize();
      (void)cudaGetLastError();
      continue;
    }
    FileReader reader(options.plan, options.offset, options.size);
    const std::unique_ptr<nvinfer1::ICudaEngine> engine(runtime.deserializeCudaEngine(reader));
    if (engine == nullptr) continue;
    const std::unique_ptr<nvinfer1::IExecutionContext> context(engine->createExecutionContext());
    (void)cudaDeviceSynchronize();
    (void)cudaGetLastError();
  }
}

/// Whether a capture of ours broke.
bool capture_breaks(nvinfer1::IExecutionContext& context, cudaStream_t stream) {
  cudaGraph_t graph = nullptr;
  if (cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) != cudaSuccess) return true;
  const bool enqueued = context.enqueueV3(stream);
  const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
  const bool broken = !enqueued || ended != cudaSuccess || graph == nullptr;
  if (graph != nullptr) (void)cudaGraphDestroy(graph);
  return broken;
}

/// Whether a call fails of a new context that makes a graph of its own; it stays in `loaded`.
bool own_graph_breaks(const Options& options, Loaded& loaded, cudaStream_t stream) {
#ifdef TRT_MAJOR_RTX
  const std::shared_ptr<nvinfer1::IRuntimeConfig> config(loaded.engine->createRuntimeConfig());
  if (!config->setCudaGraphStrategy(nvinfer1::CudaGraphStrategy::kWHOLE_GRAPH_CAPTURE)) die("no graphs of its own");
  loaded.context.reset(loaded.engine->createExecutionContext(config.get()));
  loaded.config = config;
  if (loaded.context == nullptr) die("no execution context");
  bind(options, *loaded.engine, *loaded.context);
  bool broken = false;
  for (int call = 0; call < 4; ++call) {  // the graph is there from the second or third on
    if (!loaded.context->enqueueV3(stream) || cudaStreamSynchronize(stream) != cudaSuccess) broken = true;
    (void)cudaGetLastError();
  }
  return broken;
#else
  (void)options, (void)loaded, (void)stream;
  die("--graphs library: built with TensorRT's headers; TensorRT-RTX's have CudaGraphStrategy");
#endif
}

/// Captures beside another thread, each with a plain call of the same context behind it.
void break_captures(const Options& options, Loaded& loaded, cudaStream_t stream) {
  int broken = 0;
  int failed = 0;
  std::atomic<bool> stop{false};
  std::thread other([&] { disturb(options, *loaded.runtime, stop); });
  for (int i = 0; i < options.captures; ++i) {
    const bool breaks = options.graphs == "library" ? own_graph_breaks(options, loaded, stream)
                                                    : capture_breaks(*loaded.context, stream);
    if (breaks) ++broken;
    (void)cudaGetLastError();
    if (!loaded.context->enqueueV3(stream) || cudaStreamSynchronize(stream) != cudaSuccess) ++failed;
    (void)cudaGetLastError();
  }
  stop = true;
  other.join();
  std::printf("{\"captures\": %d, \"broken\": %d, \"failed_after\": %d}\n", options.captures, broken, failed);
}

struct Times {
  std::string call, graph, host, host_pinned;
};

void print(const LoadReport& report, const Times& times, double bandwidth, const Growth& growth) {
  const int32_t version = report.version;
  const int64_t over = report.host_peak < 0 ? -1 : report.host_peak - report.host_before;
  std::printf("{\"version\": \"%d.%d.%d\", \"plan_bytes\": %" PRId64 ", \"streamable_bytes\": %" PRId64
              ", \"budget_bytes\": %" PRId64 ", \"scratch_bytes\": %" PRId64 ", \"context_bytes\": %" PRId64,
              version / 10000, version / 100 % 100, version % 100, report.plan_bytes, report.streamable, report.budget,
              report.scratch, report.context_bytes);
  std::printf(
      ", \"load_seconds\": %.4f, \"deserialize_seconds\": %.4f, \"budget_seconds\": %.4f, \"context_seconds\": %.4f",
      report.runtime_seconds + report.deserialize_seconds + report.budget_seconds + report.context_seconds,
      report.deserialize_seconds, report.budget_seconds, report.context_seconds);
  std::printf(", \"host_before_bytes\": %" PRId64, report.host_before);
  std::printf(over < 0 ? ", \"host_peak_over_before_bytes\": null" : ", \"host_peak_over_before_bytes\": %" PRId64,
              over);
  std::printf(", \"device_bytes\": %" PRId64 ", \"enqueue_us\": %s, \"graph_us\": %s", report.device_bytes,
              times.call.c_str(), times.graph.c_str());
  std::printf(", \"host_io_us\": %s, \"host_io_pinned_us\": %s", times.host.c_str(), times.host_pinned.c_str());
  if (bandwidth > 0) std::printf(", \"pinned_bytes_per_second\": %.0f", bandwidth);
  std::printf(", \"host_growth_bytes\": %" PRId64 ", \"device_growth_bytes\": %" PRId64 "}\n", growth.host,
              growth.device);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  check(cudaFree(nullptr), "CUDA");  // makes the device's context, which is no part of a load
  Logger logger;
  if (!options.parts.empty()) {
    several(options, logger);
    return 0;
  }
  Loaded loaded;
  const LoadReport report = load(options, logger, loaded);
  bind(options, *loaded.engine, *loaded.context);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  if (options.captures > 0) {
    break_captures(options, loaded, stream);
    return 0;
  }
  Times times;
  times.call = as_json(measure(options.runs, stream, [&] {
    if (!loaded.context->enqueueV3(stream)) die("enqueueV3 failed");
  }));
  times.graph = measure_graph(options.runs, stream, *loaded.context);
  times.host = measure_host(options.runs, stream, loaded, false);
  times.host_pinned = measure_host(options.runs, stream, loaded, true);
  const double bandwidth = options.bandwidth ? pinned_bandwidth(stream) : 0;
  print(report, times, bandwidth, options.changes > 0 ? grow(options, loaded, stream) : Growth());
  loaded.context.reset();
  loaded.engine.reset();
  return 0;
}
