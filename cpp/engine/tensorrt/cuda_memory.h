#pragma once

namespace torchtrt_ws::tensorrt {

/// Gives ExecuTorch's allocator of CUDA memory (engine/device_memory.h) what it works with. Returns true.
bool provide_cuda_memory();

}  // namespace torchtrt_ws::tensorrt
