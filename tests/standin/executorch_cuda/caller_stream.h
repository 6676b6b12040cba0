#pragma once

#include <optional>

struct CUstream_st;

namespace executorch::extension::cuda {

/// Stands in for the guard of ExecuTorch's library executorch_extension_cuda, which its wheels for CPUs do not have:
/// the same names, and the stream of the innermost guard of a thread.
class CallerStreamGuard {
 public:
  explicit CallerStreamGuard(CUstream_st* stream);
  ~CallerStreamGuard();
  CallerStreamGuard(const CallerStreamGuard&) = delete;
  CallerStreamGuard& operator=(const CallerStreamGuard&) = delete;

 private:
  const std::optional<CUstream_st*> outer_;
};

std::optional<CUstream_st*> getCallerStream();

}  // namespace executorch::extension::cuda
