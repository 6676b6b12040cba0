#include "caller_stream.h"

namespace executorch::extension::cuda {
namespace {

std::optional<CUstream_st*>& innermost() {
  thread_local std::optional<CUstream_st*> stream;
  return stream;
}

}  // namespace

CallerStreamGuard::CallerStreamGuard(CUstream_st* stream) : outer_(innermost()) { innermost() = stream; }

CallerStreamGuard::~CallerStreamGuard() { innermost() = outer_; }

std::optional<CUstream_st*> getCallerStream() { return innermost(); }

}  // namespace executorch::extension::cuda

/// For tests that load this library and know no class of it: a guard that is set and never nested.
extern "C" __attribute__((visibility("default"))) void standin_set_stream(CUstream_st* stream, int wanted) {
  executorch::extension::cuda::innermost() = wanted != 0 ? std::optional<CUstream_st*>(stream) : std::nullopt;
}
