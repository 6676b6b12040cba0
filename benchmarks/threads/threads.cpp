// Several threads on one engine, as fast as they can: how many runs a second, and how they are shared out.
//
//   threads --program FILE.pte --offset N --size N --rows N --columns N --threads N --seconds S
//
// `--offset` and `--size` are the engine's blob in the file (payload_offset, payload_bytes); x and y are float32 of one
// shape. The threads share the delegate handle, which runs one call at a time; each has tensors of its own. One JSON
// object on stdout.

#include <executorch/extension/data_loader/mmap_data_loader.h>
#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/platform/runtime.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"

namespace {

using executorch::extension::MmapDataLoader;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using SegmentInfo = executorch::runtime::DataLoader::SegmentInfo;
using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "threads: %s\n", message.c_str());
  std::exit(1);
}

std::map<std::string, std::string> read_flags(int argc, char** argv) {
  std::map<std::string, std::string> flags;
  for (int i = 1; i + 1 < argc; i += 2) flags[argv[i]] = argv[i + 1];
  for (const char* flag : {"--program", "--offset", "--size", "--rows", "--columns", "--threads", "--seconds"}) {
    if (flags.find(flag) == flags.end()) die(std::string("needs ") + flag);
  }
  return flags;
}

/// Runs until told to stop; returns how often.
int64_t run(executorch::runtime::BackendInterface& backend, executorch::runtime::DelegateHandle* handle, int rows,
            int columns, const std::atomic<bool>& stop) {
  std::vector<float> input(static_cast<size_t>(rows) * static_cast<size_t>(columns), 1), output(input.size());
  auto x = executorch::extension::make_tensor_ptr({rows, columns}, input.data());
  auto y = executorch::extension::make_tensor_ptr({rows, columns}, output.data());
  EValue x_value(*x), y_value(*y);
  EValue* arguments[] = {&x_value, &y_value};
  executorch::runtime::BackendExecutionContext context;
  int64_t runs = 0;
  for (; !stop; ++runs) {
    if (backend.execute(context, handle, {arguments, 2}) != Error::Ok) die(torchtrt_ws::last_error().message);
  }
  return runs;
}

}  // namespace

int main(int argc, char** argv) {
  auto flags = read_flags(argc, argv);
  executorch::runtime::runtime_init();
  auto* const backend = executorch::runtime::get_backend_class(torchtrt_ws::kBackendId);
  if (backend == nullptr) die("no backend");
  auto loader = MmapDataLoader::from(flags["--program"].c_str(), MmapDataLoader::MlockConfig::NoMlock);
  if (!loader.ok()) die("cannot map " + flags["--program"]);
  auto payload = loader->load(std::stoull(flags["--offset"]), std::stoull(flags["--size"]),
                              SegmentInfo(SegmentInfo::Type::Backend));
  if (!payload.ok()) die("cannot map the payload");
  std::vector<uint8_t> arena(1 << 16);
  executorch::runtime::MemoryAllocator allocator(1 << 16, arena.data());
  executorch::runtime::BackendInitContext context(&allocator, nullptr, "forward", nullptr, {});
  auto handle = backend->init(context, &*payload, {});
  if (!handle.ok()) die(torchtrt_ws::last_error().message);

  const int rows = std::stoi(flags["--rows"]), columns = std::stoi(flags["--columns"]);
  std::atomic<bool> stop{false};
  std::vector<int64_t> runs(std::stoul(flags["--threads"]));
  std::vector<std::thread> threads;
  const auto start = Clock::now();
  for (int64_t& own : runs) {
    threads.emplace_back([&, rows, columns] { own = run(*backend, *handle, rows, columns, stop); });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(std::stod(flags["--seconds"])));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const int64_t all = std::accumulate(runs.begin(), runs.end(), int64_t{0});
  const auto [least, most] = std::minmax_element(runs.begin(), runs.end());
  std::printf("{\"threads\": %zu, \"runs_per_second\": %.0f, \"least\": %" PRId64 ", \"most\": %" PRId64 "}\n",
              runs.size(), static_cast<double>(all) / seconds, *least, *most);
  backend->destroy(*handle);
  return 0;
}
