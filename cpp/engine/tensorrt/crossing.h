#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace torchtrt_ws::tensorrt {

/// The least output, in bytes, that crosses to the caller's pageable memory in a copy of CUDA's own. A smaller one goes
/// through our pinned memory, and so do all inputs: that is as fast or faster (seen on an H200 with
/// benchmarks/gpu/crossover.cpp: up to 2 MiB to the host, and at every size to the device).
inline constexpr size_t kLeastDirect = size_t{4} << 20;

/// A copy between pinned and device memory that a run begins or ends with. Nothing crosses where nbytes is 0.
///
/// Kernels could write small outputs into pinned memory themselves: that took 69 us where this took 78 (an H200, bare,
/// a plan of 8 layers). But an output may be what a later layer reads, and it would read that across the bus.
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
