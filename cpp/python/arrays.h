#pragma once

#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/exec_aten/exec_aten.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

namespace torchtrt_ws::python {

using InputArray = nanobind::ndarray<nanobind::ro>;

/// An ExecuTorch tensor over the array's own memory: nothing is copied, and the array must outlive it. The array must
/// be contiguous. Throws NativeError for a dtype or layout that ExecuTorch cannot take.
executorch::extension::TensorPtr view_array(const InputArray& array, size_t position);

/// A copy of an output that the caller may keep: a numpy array, or (bfloat16, float8: numpy has none) an object with
/// `__dlpack__`. The original lies in memory that the next run overwrites. Needs the GIL.
nanobind::object copy_output(const executorch::runtime::EValue& value);

}  // namespace torchtrt_ws::python
