// The delegate in benchmarks/gpu: one engine of a .pte through the ExecuTorch backend, as ExecuTorch calls it. It loads
// the payload from a file mapping, as Module::LoadMode::Mmap does, and times execute() with tensors in device memory on
// a caller's stream and without one, and with tensors in host memory; then the whole file through Module with tensors
// in host memory, as it is used by default. One process measures one budget. One JSON object on stdout, with the keys
// of floor.cpp; sizes are bytes. graph_device_bytes is what the calls on the caller's stream took of the device after
// the first one: with graphs, that of one.
//
//   ours --program FILE.pte --offset N --size N --rows 16 --columns 4096 --type float16
//        [--option KEY=VALUE]... [--runs N] [--graph auto|on|off]
//
// `--offset` and `--size` are the engine's blob in the file (payload_offset, payload_bytes). x and y have one shape.

#include <cuda_runtime_api.h>
#include <executorch/extension/data_loader/mmap_data_loader.h>
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/backend/backend_options_map.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/platform/runtime.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "torchtrt_ws/adapter.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"
#include "torchtrt_ws/stream.h"

namespace {

using executorch::aten::ScalarType;
using executorch::extension::TensorPtr;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "ours: %s\n", message.c_str());
  std::exit(1);
}

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) die(std::string(what) + ": " + cudaGetErrorString(error));
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Options {
  std::string program;
  size_t offset = 0;
  size_t size = 0;
  int rows = 16;
  int columns = 0;
  ScalarType type = ScalarType::Half;
  int runs = 300;
  torchtrt_ws::LoadOptions load;
};

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (i + 1 == argc) die("misses the value of " + flag);
    const std::string value = argv[++i];
    if (flag == "--program")
      options.program = value;
    else if (flag == "--offset")
      options.offset = std::stoull(value);
    else if (flag == "--size")
      options.size = std::stoull(value);
    else if (flag == "--rows")
      options.rows = std::stoi(value);
    else if (flag == "--columns")
      options.columns = std::stoi(value);
    else if (flag == "--type")
      options.type = value == "float32" ? ScalarType::Float : ScalarType::Half;
    else if (flag == "--runs")
      options.runs = std::stoi(value);
    else if (flag == "--graph")
      options.load.set_cuda_graph(value.c_str());
    else if (flag == "--option") {
      const size_t equals = value.find('=');
      if (equals == std::string::npos) die("--option wants KEY=VALUE");
      const std::string key = value.substr(0, equals), text = value.substr(equals + 1);
      if (text == "true" || text == "false") {
        options.load.add(key, text == "true");
      } else {
        options.load.add_text(key, text);
      }
    } else
      die("does not know " + flag);
  }
  if (options.program.empty() || options.size == 0 || options.columns == 0) die("needs --program, --size, --columns");
  return options;
}

/// A line of /proc/self/status in bytes: VmRSS, VmHWM.
int64_t memory_status(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(key + ":", 0) == 0) return std::stoll(line.substr(key.size() + 1)) * 1024;
  }
  return -1;
}

int64_t free_on_device() {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return static_cast<int64_t>(free);
}

struct Loaded {
  std::vector<uint8_t> arena = std::vector<uint8_t>(1 << 16);
  executorch::runtime::MemoryAllocator allocator{1 << 16, arena.data()};
  std::optional<executorch::extension::MmapDataLoader> loader;
  std::optional<executorch::runtime::FreeableBuffer> processed;
  executorch::runtime::DelegateHandle* handle = nullptr;
};

executorch::runtime::BackendInterface& backend() {
  auto* found = executorch::runtime::get_backend_class(torchtrt_ws::kBackendId);
  if (found == nullptr) die("no backend");
  return *found;
}

double load(Options& options, Loaded& loaded) {
  const Clock::time_point start = Clock::now();
  auto loader = executorch::extension::MmapDataLoader::from(
      options.program.c_str(), executorch::extension::MmapDataLoader::MlockConfig::NoMlock);
  if (!loader.ok()) die("cannot map " + options.program);
  loaded.loader.emplace(std::move(loader.get()));
  auto processed = loaded.loader->load(
      options.offset, options.size,
      executorch::runtime::DataLoader::SegmentInfo(executorch::runtime::DataLoader::SegmentInfo::Type::Backend));
  if (!processed.ok()) die("cannot map the payload");
  loaded.processed.emplace(std::move(processed.get()));
  const auto view = options.load.view();
  executorch::runtime::BackendInitContext context(&loaded.allocator, nullptr, "forward", nullptr,
                                                  {view.data(), view.size()});
  auto handle = backend().init(context, &*loaded.processed, {});
  if (!handle.ok()) die(torchtrt_ws::last_error().message);
  loaded.handle = *handle;
  return seconds_since(start);
}

/// Microseconds of each call, from its start until its results are there; sorted, as JSON.
std::string measure(int runs, const std::function<void()>& call) {
  std::vector<double> samples;
  const int warm_up = std::max(8, runs / 10);
  for (int i = 0; i < warm_up + runs; ++i) {
    const Clock::time_point start = Clock::now();
    call();
    if (i >= warm_up) samples.push_back(seconds_since(start) * 1e6);
  }
  std::sort(samples.begin(), samples.end());
  const auto at = [&samples](double share) {
    return samples[std::min(samples.size() - 1, static_cast<size_t>(share * static_cast<double>(samples.size())))];
  };
  char text[128];
  std::snprintf(text, sizeof(text), "{\"p50\": %.2f, \"p10\": %.2f, \"p90\": %.2f, \"runs\": %zu}", at(0.5), at(0.1),
                at(0.9), samples.size());
  return text;
}

/// x and y in one kind of memory, and one call with them.
class Call {
 public:
  Call(const Options& options, const Loaded& loaded, bool on_device) : handle_(loaded.handle) {
    const size_t bytes = static_cast<size_t>(options.rows) * static_cast<size_t>(options.columns) *
                         (options.type == ScalarType::Half ? 2 : 4);
    for (auto& value : values_) {
      void* data = nullptr;
      if (on_device) {
        check(cudaMalloc(&data, bytes), "cudaMalloc");
        check(cudaMemset(data, 0, bytes), "cudaMemset");
      } else {
        data = std::calloc(1, bytes);
      }
      tensors_.push_back(executorch::extension::make_tensor_ptr({options.rows, options.columns}, data, options.type));
      value = EValue(*tensors_.back());
    }
  }

  void operator()() {
    EValue* args[] = {&values_[0], &values_[1]};
    executorch::runtime::BackendExecutionContext context;
    if (backend().execute(context, handle_, {args, 2}) != Error::Ok) die(torchtrt_ws::last_error().message);
  }

 private:
  executorch::runtime::DelegateHandle* handle_;
  std::vector<TensorPtr> tensors_;
  EValue values_[2];
};

/// Calls of the file's method `forward`, which has x in host memory.
std::string measure_file(Options& options) {
  using executorch::extension::Module;
  executorch::runtime::LoadBackendOptionsMap map;
  if (options.load.add_to(map) != Error::Ok) die("the options do not fit");
  Module module(options.program, Module::LoadMode::Mmap);
  if (module.load(map) != Error::Ok || module.load_forward() != Error::Ok) die(torchtrt_ws::last_error().message);
  std::vector<char> x(static_cast<size_t>(options.rows) * static_cast<size_t>(options.columns) *
                      (options.type == ScalarType::Half ? 2 : 4));
  const auto tensor = executorch::extension::make_tensor_ptr({options.rows, options.columns}, x.data(), options.type);
  return measure(options.runs, [&] {
    if (!module.forward(*tensor).ok()) die(torchtrt_ws::last_error().message);
  });
}

}  // namespace

int main(int argc, char** argv) {
  Options options = read_options(argc, argv);
  executorch::runtime::runtime_init();
  check(cudaFree(nullptr), "CUDA");  // makes the device's context, which is no part of a load
  if (torchtrt_ws::load_adapter("tensorrt") != Error::Ok) die(torchtrt_ws::last_error().message);
  Loaded loaded;
  const int64_t free_before = free_on_device();
  const bool has_peak = static_cast<bool>(std::ofstream("/proc/self/clear_refs") << "5" << std::flush);
  const int64_t host_before = memory_status("VmRSS");
  const double load_seconds = load(options, loaded);
  const int64_t over = has_peak ? memory_status("VmHWM") - host_before : -1;
  const int64_t device = free_before - free_on_device();

  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  Call on_device(options, loaded, true), on_host(options, loaded, false);
  on_device();  // what only the first call takes of the device
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  const int64_t free_before_graph = free_on_device();
  const std::string callers = measure(options.runs, [&] {
    torchtrt_ws::CallerStreamGuard guard(stream);
    on_device();
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  });
  const int64_t graph_bytes = free_before_graph - free_on_device();
  const std::string plain = measure(options.runs, [&] { on_device(); });
  const std::string host = measure(options.runs, [&] { on_host(); });
  const std::string file = measure_file(options);

  const auto report = torchtrt_ws::engines().at(0);
  std::printf("{\"streamable_bytes\": %" PRId64 ", \"budget_bytes\": %" PRId64
              ", \"source\": \"%s\", \"scratch_bytes\": %" PRId64 ", \"reported_device_bytes\": %" PRId64,
              report.streamable_bytes, report.budget_bytes, report.source.c_str(), report.scratch_bytes,
              report.device_bytes);
  std::printf(", \"load_seconds\": %.4f, \"host_before_bytes\": %" PRId64 ", \"host_peak_over_before_bytes\": %" PRId64
              ", \"device_bytes\": %" PRId64,
              load_seconds, host_before, over, device);
  std::printf(", \"callers_stream_us\": %s, \"own_stream_us\": %s, \"host_io_us\": %s, \"default_file_us\": %s",
              callers.c_str(), plain.c_str(), host.c_str(), file.c_str());
  std::printf(", \"graph_device_bytes\": %" PRId64 "}\n", graph_bytes);
  backend().destroy(loaded.handle);
  return 0;
}
