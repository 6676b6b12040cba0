#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace torchtrt_ws::tensorrt {

/// The largest tensor, in bytes, that crosses between the caller's pageable memory and the device in a copy of CUDA's
/// own. A larger one goes through our pinned memory: CUDA would stage it as well, and wait meanwhile.
///
/// 64 KiB is up to where CUDA takes what is to be copied along and returns (CUDA C++ Programming Guide, "Concurrent
/// Execution between Host and Device"). benchmarks/gpu/crossover.cpp measures where a machine's own crossover is.
inline constexpr size_t kMostDirect = size_t{64} << 10;

/// A copy between pinned and device memory that a run begins or ends with. Nothing crosses where nbytes is 0.
struct Crossing {
  void* to = nullptr;
  const void* from = nullptr;
  size_t nbytes = 0;

  cudaError_t enqueue(cudaMemcpyKind direction, cudaStream_t stream) const {
    return nbytes == 0 ? cudaSuccess : cudaMemcpyAsync(to, from, nbytes, direction, stream);
  }
  friend bool operator==(const Crossing& a, const Crossing& b) noexcept {
    return a.nbytes == b.nbytes && (a.nbytes == 0 || (a.to == b.to && a.from == b.from));
  }
};

/// What crosses in one run.
struct Crossings {
  Crossing in;
  Crossing out;

  friend bool operator==(const Crossings& a, const Crossings& b) noexcept { return a.in == b.in && a.out == b.out; }
};

}  // namespace torchtrt_ws::tensorrt
