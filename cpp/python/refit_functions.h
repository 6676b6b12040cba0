#pragma once

#include <nanobind/nanobind.h>

namespace torchtrt_ws::python {

/// torchtrt_ws/new_weights.h for torchtrt_ws.runtime. No function holds the GIL while it waits.
void add_refit_functions(nanobind::module_& module);

}  // namespace torchtrt_ws::python
