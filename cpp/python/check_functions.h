#pragma once

#include <nanobind/nanobind.h>

namespace torchtrt_ws::python {

/// check(path, options, digests), in plain Python values, and for tests program_delegates(path).
void add_check_functions(nanobind::module_& module);

}  // namespace torchtrt_ws::python
