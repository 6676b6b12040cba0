#pragma once

#include <nanobind/nanobind.h>

namespace torchtrt_ws::python {

/// torchtrt_ws/memory.h for torchtrt_ws.memory. No function holds the GIL while it waits.
void add_memory_functions(nanobind::module_& module);

}  // namespace torchtrt_ws::python
