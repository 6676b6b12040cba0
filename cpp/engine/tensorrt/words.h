#pragma once

#include <cuda_runtime_api.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace torchtrt_ws::tensorrt {

// What TensorRT's messages mean. It reports the reason for a null or false only as text to its logger; these are the
// phrases of TensorRT 10, 11 and TensorRT-RTX 1.4 to 1.7. The
// acceptance tests check them against the library they run with, a stand-in or the real one.

/// The device or the host ran out of memory.
bool says_out_of_memory(std::string_view words);

/// The plan is good, but of another version, platform or GPU.
bool says_other_version(std::string_view words);

/// CUDA failed inside TensorRT: the plan is not to blame.
bool says_cuda_failed(std::string_view words);

/// The error of CUDA that the words name, by its number ("CUDA initialization failure with error: 35") or its text
/// ("Cuda Runtime (no CUDA-capable device is detected)").
std::optional<cudaError_t> named_cuda_error(std::string_view words);

/// Why a `call` of a context failed, from what TensorRT said of it: DoesNotFit or EngineFault. `subject` names the
/// engine; `tensor` is empty for a call about the whole run.
Failure refused_call(const std::string& subject, const char* call, const std::string& tensor, const std::string& words);

}  // namespace torchtrt_ws::tensorrt
