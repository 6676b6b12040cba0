// How one tensor in the caller's pageable memory best crosses to the device and back, by its size: in a copy of CUDA's
// own ("direct"), or through pinned memory with a copy on the host ("pinned"), as the adapter does for inputs, and for
// outputs below kLeastDirect (cpp/engine/tensorrt/crossing.h). Each way ends with a wait for the stream, and the ways
// take turns. One JSON array on stdout, a row for each size; sizes are bytes, times the median microseconds of one
// crossing.
//
//   crossover [--runs 200] [--from 4096] [--to 16777216]

#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "crossover: %s\n", message.c_str());
  std::exit(1);
}

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) die(std::string(what) + ": " + cudaGetErrorString(error));
}

struct Options {
  int runs = 200;
  size_t from = 4096;
  size_t to = size_t{16} << 20;
};

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 == argc) die(flag + " misses its value");
    if (flag == "--runs")
      options.runs = std::stoi(argv[i + 1]);
    else if (flag == "--from")
      options.from = std::stoull(argv[i + 1]);
    else if (flag == "--to")
      options.to = std::stoull(argv[i + 1]);
    else
      die("does not know " + flag);
  }
  if (options.runs < 1 || options.from == 0) die("needs one run or more, of one byte or more");
  return options;
}

/// Median microseconds of each way; `runs` of each, in turn.
std::vector<double> measure(int runs, const std::vector<std::function<void()>>& ways) {
  std::vector<std::vector<double>> samples(ways.size());
  for (int i = -5; i < runs; ++i) {  // some to warm up
    for (size_t way = 0; way < ways.size(); ++way) {
      const Clock::time_point start = Clock::now();
      ways[way]();
      if (i >= 0) samples[way].push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    }
  }
  std::vector<double> medians;
  for (auto& of_way : samples) {
    std::sort(of_way.begin(), of_way.end());
    medians.push_back(of_way[of_way.size() / 2]);
  }
  return medians;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamDefault), "cudaStreamCreateWithFlags");  // as the adapter's own
  std::vector<char> pageable(options.to);
  void* pinned = nullptr;
  void* device = nullptr;
  check(cudaMallocHost(&pinned, options.to), "cudaMallocHost");
  check(cudaMalloc(&device, options.to), "cudaMalloc");
  const auto copy = [&](void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    check(cudaMemcpyAsync(to, from, bytes, kind, stream), "cudaMemcpyAsync");
  };
  const auto wait = [&] { check(cudaStreamSynchronize(stream), "cudaStreamSynchronize"); };
  const char* separator = "[";
  for (size_t bytes = options.from; bytes <= options.to; bytes *= 2) {
    const std::vector<double> us =
        measure(options.runs, {[&] {
                                 copy(device, pageable.data(), bytes, cudaMemcpyHostToDevice);
                                 wait();
                               },
                               [&] {
                                 std::memcpy(pinned, pageable.data(), bytes);
                                 copy(device, pinned, bytes, cudaMemcpyHostToDevice);
                                 wait();
                               },
                               [&] {
                                 copy(pageable.data(), device, bytes, cudaMemcpyDeviceToHost);
                                 wait();
                               },
                               [&] {
                                 copy(pinned, device, bytes, cudaMemcpyDeviceToHost);
                                 wait();
                                 std::memcpy(pageable.data(), pinned, bytes);
                               }});
    std::printf("%s\n {\"bytes\": %zu", separator, bytes);
    std::printf(", \"to_device\": {\"direct\": %.2f, \"pinned\": %.2f, \"faster\": \"%s\"}", us[0], us[1],
                us[0] <= us[1] ? "direct" : "pinned");
    std::printf(", \"to_host\": {\"direct\": %.2f, \"pinned\": %.2f, \"faster\": \"%s\"}}", us[2], us[3],
                us[2] <= us[3] ? "direct" : "pinned");
    separator = ",";
  }
  std::printf("\n]\n");
  check(cudaFree(device), "cudaFree");
  check(cudaFreeHost(pinned), "cudaFreeHost");
  check(cudaStreamDestroy(stream), "cudaStreamDestroy");
  return 0;
}
