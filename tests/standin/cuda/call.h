#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "ledger.h"
#include "memory.h"

namespace standin {

/// The calling thread's last error, for cudaGetLastError().
cudaError_t& last_error();

/// What a missing driver says to everything.
inline cudaError_t driver_error() { return static_cast<cudaError_t>(setting("driver_error")); }

inline cudaError_t keep(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error() = error;
  return error;
}

/// The frame of every CUDA call: locks, counts, strikes with an injected fault (`usual` where the test names no error),
/// refuses without a driver, and keeps the last error.
template <typename Body>
cudaError_t call(const char* function, Body body, cudaError_t usual = cudaErrorLaunchFailure) {
  auto guard = lock();
  if (auto injected = enter(function)) {
    return keep(*injected == 0 ? usual : static_cast<cudaError_t>(*injected));
  }
  if (cudaError_t missing = driver_error(); missing != cudaSuccess) return keep(missing);
  if (setting("devices") == 0) return keep(cudaErrorNoDevice);
  return keep(body());
}

/// The same for calls that give something back: with an injected fault they still do, as CUDA's do when they report an
/// earlier error. A caller could do nothing about it.
template <typename Body>
cudaError_t give_back_call(const char* function, Body body) {
  auto guard = lock();
  auto injected = enter(function);
  if (cudaError_t missing = driver_error(); missing != cudaSuccess) return keep(missing);
  cudaError_t error = body();
  if (!injected.has_value()) return keep(error);
  return keep(*injected == 0 ? cudaErrorLaunchFailure : static_cast<cudaError_t>(*injected));
}

}  // namespace standin
