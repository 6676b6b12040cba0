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

/// Whether CUDA refuses all further work of the process after this error (cudaError_t's documentation).
inline bool is_sticky(cudaError_t error) {
  return error == cudaErrorIllegalAddress || error == cudaErrorLaunchFailure || error == cudaErrorAssert;
}

/// The error of a device that was lost; cudaSuccess while none is. Calls that touch no device go on working.
inline cudaError_t lost(const char* function) {
  if (exempt_now()) return cudaSuccess;
  const std::string name = function;
  const bool touches_none = name == "cudaGetDevice" || name == "cudaSetDevice" || name == "cudaGetDeviceCount" ||
                            name == "cudaDeviceGetAttribute";
  return touches_none ? cudaSuccess : static_cast<cudaError_t>(lost_device());
}

inline cudaError_t keep(cudaError_t error) {
  if (setting("sticky") != 0 && is_sticky(error) && !exempt_now()) lost_device() = error;
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error() = error;
  return error;
}

/// enter() for TensorRT's functions, which fail when the device was lost, too. An injected error from which CUDA does
/// not recover loses it.
inline std::optional<int> enter_tensorrt(const char* function) {
  if (auto injected = enter(function)) {
    if (setting("sticky") != 0 && is_sticky(static_cast<cudaError_t>(*injected))) lost_device() = *injected;
    return injected;
  }
  if (exempt_now() || lost_device() == 0) return std::nullopt;
  return lost_device();
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
  if (cudaError_t error = lost(function); error != cudaSuccess) return keep(error);
  return keep(body());
}

/// The same for calls that give something back: with an injected fault they still do, as CUDA's do when they report an
/// earlier error. A caller could do nothing about it. And for those that wait: the error they report is of work that
/// has come to its end.
template <typename Body>
cudaError_t give_back_call(const char* function, Body body) {
  auto guard = lock();
  auto injected = enter(function);
  if (cudaError_t missing = driver_error(); missing != cudaSuccess) return keep(missing);
  cudaError_t error = body();
  if (cudaError_t before = lost(function); before != cudaSuccess) return keep(before);
  if (!injected.has_value()) return keep(error);
  return keep(*injected == 0 ? cudaErrorLaunchFailure : static_cast<cudaError_t>(*injected));
}

}  // namespace standin
