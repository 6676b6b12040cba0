#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>

namespace torchtrt_ws::python {

/// Copies `nbytes` of memory of `device` to the host, and waits. Throws NativeError. Without the GIL.
void download(void* to, const void* from, size_t nbytes, int device);

/// Memory of CUDA devices for torchtrt_ws.runtime, through ExecuTorch's allocator for them: this module knows no CUDA.
/// And foreign tensors by DLPack.
void add_device_memory_functions(nanobind::module_& module);

}  // namespace torchtrt_ws::python
