#pragma once

namespace torchtrt_ws::tensorrt {

/// Gives ExecuTorch an allocator of CUDA memory if it has none, so that programs load whose delegate I/O is planned in
/// device memory (Torch-TensorRT's compile spec `target_device` = `cuda:N`). False when there was one.
///
/// ExecuTorch asks for it before it initializes any delegate, and takes one registration for each type of device for as
/// long as the process lives (runtime/core/device_allocator.h): call this while the program starts, from one thread.
bool register_device_allocator();

}  // namespace torchtrt_ws::tensorrt
