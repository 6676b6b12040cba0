#pragma once

#include <string_view>

namespace torchtrt_ws::tensorrt {

// What TensorRT's messages mean. It reports the reason for a null or false only as text to its logger; these are the
// phrases of TensorRT 10, 11 and TensorRT-RTX 1.4 to 1.7. Tests run the real library's messages through them.

/// The device or the host ran out of memory.
bool says_out_of_memory(std::string_view words);

/// The plan is good, but of another version, platform or GPU.
bool says_other_version(std::string_view words);

/// CUDA failed inside TensorRT: the plan is not to blame.
bool says_cuda_failed(std::string_view words);

}  // namespace torchtrt_ws::tensorrt
