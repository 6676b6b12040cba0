// What the GPU report asks of one engine beyond its numbers. One JSON object on stdout; sizes are bytes.
//
//   stress changes --program FILE --offset N --size N --columns N [--changes 1000]
//     budget changes through ExecuTorch's set_option() while two threads run the engine: device and host memory before
//     and after, wrong results, device memory at each of a few budgets against a fresh load
//   stress full --program FILE ... --free N
//     the device filled until N bytes are free, then an automatic load, and an explicit one of all weights
//   stress precedence --program FILE ... --name ENGINE
//     who decides, read back from TensorRT: engine option, general option, baked, automatic

#include <cuda_runtime_api.h>
#include <executorch/extension/data_loader/mmap_data_loader.h>
#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/platform/runtime.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "nlohmann/json.hpp"
#include "torchtrt_ws/adapter.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"

namespace {

using executorch::aten::ScalarType;
using executorch::runtime::CompileSpec;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using Json = nlohmann::ordered_json;
using torchtrt_ws::LoadOptions;

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "stress: %s\n", message.c_str());
  std::exit(1);
}

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) die(std::string(what) + ": " + cudaGetErrorString(error));
}

struct Arguments {
  std::string what, program, name;
  size_t offset = 0, size = 0;
  int rows = 16, columns = 0, changes = 1000;
  int64_t free = 0;
};

Arguments read_arguments(int argc, char** argv) {
  Arguments arguments;
  if (argc < 2) die("needs changes, full or precedence");
  arguments.what = argv[1];
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--program")
      arguments.program = value;
    else if (flag == "--name")
      arguments.name = value;
    else if (flag == "--offset")
      arguments.offset = std::stoull(value);
    else if (flag == "--size")
      arguments.size = std::stoull(value);
    else if (flag == "--columns")
      arguments.columns = std::stoi(value);
    else if (flag == "--changes")
      arguments.changes = std::stoi(value);
    else if (flag == "--free")
      arguments.free = std::stoll(value);
    else
      die("does not know " + flag);
  }
  return arguments;
}

executorch::runtime::BackendInterface& backend() {
  return *executorch::runtime::get_backend_class(torchtrt_ws::kBackendId);
}

/// One engine as ExecuTorch loads it from a mapped file.
class Loaded {
 public:
  Loaded(const Arguments& arguments, LoadOptions options, const std::optional<std::string>& baked = std::nullopt) {
    auto loader = executorch::extension::MmapDataLoader::from(
        arguments.program.c_str(), executorch::extension::MmapDataLoader::MlockConfig::NoMlock);
    if (!loader.ok()) die("cannot map " + arguments.program);
    loader_.emplace(std::move(loader.get()));
    auto processed = loader_->load(
        arguments.offset, arguments.size,
        executorch::runtime::DataLoader::SegmentInfo(executorch::runtime::DataLoader::SegmentInfo::Type::Backend));
    if (!processed.ok()) die("cannot map the payload");
    processed_.emplace(std::move(processed.get()));
    std::vector<CompileSpec> specs;
    if (baked) specs.push_back({torchtrt_ws::kBudgetKey.data(), {const_cast<char*>(baked->data()), baked->size()}});
    const auto view = options.view();
    executorch::runtime::BackendInitContext context(&allocator_, nullptr, "forward", nullptr,
                                                    {view.data(), view.size()});
    auto handle = backend().init(context, &*processed_, {specs.data(), specs.size()});
    error = handle.error();
    if (handle.ok()) handle_ = *handle;
  }
  ~Loaded() { backend().destroy(handle_); }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;

  executorch::runtime::DelegateHandle* handle() const { return handle_; }
  Error error = Error::Ok;

 private:
  std::vector<uint8_t> arena_ = std::vector<uint8_t>(1 << 16);
  executorch::runtime::MemoryAllocator allocator_{1 << 16, arena_.data()};
  std::optional<executorch::extension::MmapDataLoader> loader_;
  std::optional<executorch::runtime::FreeableBuffer> processed_;
  executorch::runtime::DelegateHandle* handle_ = nullptr;
};

/// Tensors in host memory and one call with them. Rows hold numbers that tell the rows apart.
class Call {
 public:
  Call(const Arguments& arguments, const Loaded& loaded)
      : handle_(loaded.handle()),
        x_(static_cast<size_t>(arguments.rows) * static_cast<size_t>(arguments.columns)),
        y_(x_.size()) {
    constexpr uint16_t kHalves[] = {0x3c00, 0x4000, 0x4400, 0x4800};  // fp16 1, 2, 4, 8
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = kHalves[i / static_cast<size_t>(arguments.columns) % 4];
    x_tensor_ =
        executorch::extension::make_tensor_ptr({arguments.rows, arguments.columns}, x_.data(), ScalarType::Half);
    y_tensor_ =
        executorch::extension::make_tensor_ptr({arguments.rows, arguments.columns}, y_.data(), ScalarType::Half);
    values_[0] = EValue(*x_tensor_);
    values_[1] = EValue(*y_tensor_);
  }

  Error operator()() {
    EValue* args[] = {&values_[0], &values_[1]};
    executorch::runtime::BackendExecutionContext context;
    std::fill(y_.begin(), y_.end(), uint16_t{0});
    return backend().execute(context, handle_, {args, 2});
  }

  /// Each layer is the mean of a row with a shift of itself: rows of one number stay what they are.
  bool is_right() const { return x_ == y_; }

 private:
  executorch::runtime::DelegateHandle* handle_;
  std::vector<uint16_t> x_, y_;
  executorch::extension::TensorPtr x_tensor_, y_tensor_;
  EValue values_[2];
};

int64_t free_on_device() {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return static_cast<int64_t>(free);
}

int64_t host_rss() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::stoll(line.substr(6)) * 1024;
  }
  return -1;
}

void set_budget(int64_t bytes) {
  LoadOptions options;
  options.set_budget_per_engine(bytes);
  if (executorch::runtime::set_option(torchtrt_ws::kBackendId, options.view()) != Error::Ok) {
    die("set_option: " + torchtrt_ws::last_error().message);
  }
}

/// Device memory that the engine takes at each budget, after a change and after a fresh load of its own.
Json memory_after_changes(const Arguments& arguments, int64_t all) {
  Json rows = Json::array();
  for (const int64_t budget : {all, all / 2, int64_t{0}, all / 4, all}) {
    Json row = {{"budget", budget}};
    for (const bool changed : {false, true}) {
      const int64_t before = free_on_device();
      LoadOptions options;
      options.set_budget_per_engine(changed ? all / 3 : budget);
      Loaded loaded(arguments, options);
      if (loaded.error != Error::Ok) die(torchtrt_ws::last_error().message);
      if (changed) set_budget(budget);
      row[changed ? "changed" : "fresh"] = before - free_on_device();
    }
    rows.push_back(row);
  }
  return rows;
}

Json changes(const Arguments& arguments) {
  {
    Loaded warm(arguments, LoadOptions());
  }  // libraries, and what TensorRT keeps for the process
  Json result;
  int64_t all = 0;
  {
    Loaded loaded(arguments, LoadOptions());
    if (loaded.error != Error::Ok) die(torchtrt_ws::last_error().message);
    all = torchtrt_ws::engines().at(0).streamable_bytes;
  }
  const int64_t free_before = free_on_device(), rss_before = host_rss();
  std::atomic<int> runs{0}, failed{0}, wrong{0};
  {
    Loaded loaded(arguments, LoadOptions());
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        Call call(arguments, loaded);
        while (!stop) {
          failed += call() != Error::Ok;
          wrong += !call.is_right();
          ++runs;
        }
      });
    }
    int64_t rss_early = 0, free_early = 0;
    for (int i = 0; i < arguments.changes; ++i) {
      set_budget(all * (i * 7 % 11) / 10);  // from 0 to all
      if (i == arguments.changes / 10) {
        set_budget(0);  // the same budget at both readings
        rss_early = host_rss();
        free_early = free_on_device();
      }
    }
    set_budget(0);
    result["device_growth_after_a_tenth"] = free_early - free_on_device();
    result["host_growth_after_a_tenth"] = host_rss() - rss_early;
    stop = true;
    for (auto& thread : threads) thread.join();
  }
  result["changes"] = arguments.changes;
  result["runs"] = runs.load();
  result["failed"] = failed.load();
  result["wrong"] = wrong.load();
  result["device_not_given_back"] = free_before - free_on_device();
  result["host_growth_in_all"] = host_rss() - rss_before;
  result["memory"] = memory_after_changes(arguments, all);
  return result;
}

Json outcome(const Arguments& arguments, LoadOptions options, const std::optional<std::string>& baked = std::nullopt) {
  torchtrt_ws::clear_last_error();
  const int64_t before = free_on_device();
  Json result;
  {
    Loaded loaded(arguments, std::move(options), baked);
    result["error"] = executorch::runtime::to_string(loaded.error);
    if (loaded.error != Error::Ok) {
      result["message"] = torchtrt_ws::last_error().message;
    } else {
      const auto report = torchtrt_ws::engines().at(0);
      Call call(arguments, loaded);
      result["budget"] = report.budget_bytes;
      result["source"] = report.source;
      result["streamable"] = report.streamable_bytes;
      result["ran"] = call() == Error::Ok && call.is_right();
    }
  }
  result["device_not_given_back"] = before - free_on_device();
  return result;
}

Json full(const Arguments& arguments) {
  {
    Loaded warm(arguments, LoadOptions());
  }
  std::vector<void*> hog;
  for (size_t piece = size_t{1} << 30; piece >= (size_t{1} << 20); piece /= 2) {
    while (free_on_device() - static_cast<int64_t>(piece) >= arguments.free) {
      void* memory = nullptr;
      if (cudaMalloc(&memory, piece) != cudaSuccess) break;
      hog.push_back(memory);
    }
  }
  (void)cudaGetLastError();
  Json result = {{"free", free_on_device()}};
  result["automatic"] = outcome(arguments, LoadOptions());
  LoadOptions everything;
  everything.set_percent(100);
  result["all_weights"] = outcome(arguments, everything);
  LoadOptions nothing;
  nothing.set_budget_per_engine(0);
  result["nothing"] = outcome(arguments, nothing);
  for (void* memory : hog) check(cudaFree(memory), "cudaFree");
  return result;
}

Json precedence(const Arguments& arguments) {
  LoadOptions general, engine, automatic, percent;
  general.set_budget_per_engine(1 << 20);
  engine.set_budget_per_engine(1 << 20);
  engine.set_budget(arguments.name, 2 << 20);
  automatic.set_reserve(0);
  percent.set_percent(50);
  const std::string baked = std::to_string(3 << 20);
  Json result;
  result["nothing given"] = outcome(arguments, LoadOptions());
  result["baked 3 MiB"] = outcome(arguments, LoadOptions(), baked);
  result["baked 3 MiB, option 1 MiB"] = outcome(arguments, general, baked);
  result["baked 3 MiB, option 1 MiB, engine option 2 MiB"] = outcome(arguments, engine, baked);
  result["baked 3 MiB, auto"] = outcome(arguments, automatic, baked);
  result["50%"] = outcome(arguments, percent);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = read_arguments(argc, argv);
  executorch::runtime::runtime_init();
  check(cudaFree(nullptr), "CUDA");
  if (torchtrt_ws::load_adapter("tensorrt") != Error::Ok) die(torchtrt_ws::last_error().message);
  const Json result = arguments.what == "changes"      ? changes(arguments)
                      : arguments.what == "full"       ? full(arguments)
                      : arguments.what == "precedence" ? precedence(arguments)
                                                       : Json();
  if (result.is_null()) die("does not know " + arguments.what);
  std::printf("%s\n", result.dump().c_str());
  return 0;
}
