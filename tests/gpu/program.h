#pragma once

#include <cuda_runtime_api.h>
#include <errno.h>
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/backend/backend_options_map.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"

// What the programs of the GPU report share: one ends with words when something cannot be, sizes are bytes.
namespace torchtrt_ws::gpu {

using executorch::extension::Module;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using Clock = std::chrono::steady_clock;

[[noreturn]] inline void die(const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, message.c_str());
  std::exit(1);
}

inline void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) die(std::string(what) + ": " + cudaGetErrorString(error));
}

inline int64_t free_on_device() {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return static_cast<int64_t>(free);
}

/// A program as C++ deployments load it.
class Program {
 public:
  Program(const std::string& path, LoadOptions options)
      : module_(path, Module::LoadMode::Mmap), options_(std::move(options)) {
    if (options_.add_to(map_) != Error::Ok) die("the options do not fit");
    if (module_.load(map_, executorch::runtime::Program::Verification::InternalConsistency) != Error::Ok) {
      die("cannot load " + path);
    }
  }

  Error load(const std::string& method) {
    torchtrt_ws::clear_last_error();
    return module_.load_method(method);
  }

  /// Rows of one number are what each layer leaves as it is (tests/gpu/plans.py): the answer is the input.
  bool runs_right(const std::string& method) {
    const auto meta = module_.method_meta(method);
    if (!meta.ok()) die("no method " + method);
    const auto info = meta->input_tensor_meta(0);
    if (!info.ok()) die("no input");
    std::vector<executorch::aten::SizesType> sizes(info->sizes().begin(), info->sizes().end());
    std::vector<uint16_t> x(info->nbytes() / sizeof(uint16_t), 0x4000);  // fp16 2
    const auto tensor = executorch::extension::make_tensor_ptr(sizes, x.data(), info->scalar_type());
    const auto outputs = module_.execute(method, {EValue(*tensor)});
    if (!outputs.ok()) return false;
    const auto* y = outputs->at(0).toTensor().const_data_ptr<executorch::aten::Half>();
    return std::equal(x.begin(), x.end(), reinterpret_cast<const uint16_t*>(y));
  }

 private:
  Module module_;
  LoadOptions options_;
  executorch::runtime::LoadBackendOptionsMap map_;
};

inline double median_us(Program& program, const std::string& method, int runs) {
  std::vector<double> samples;
  for (int i = 0; i < runs + 3; ++i) {
    const auto start = Clock::now();
    if (!program.runs_right(method)) return -1;
    if (i >= 3) samples.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

/// Takes memory of the device until `bytes` are free.
inline void fill(int64_t bytes) {
  for (size_t piece = size_t{1} << 30; piece >= (size_t{1} << 20); piece /= 2) {
    while (free_on_device() - static_cast<int64_t>(piece) >= bytes) {
      void* memory = nullptr;
      if (cudaMalloc(&memory, piece) != cudaSuccess) break;
    }
  }
  (void)cudaGetLastError();
}

}  // namespace torchtrt_ws::gpu
