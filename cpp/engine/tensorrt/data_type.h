#pragma once

#include <NvInferRuntime.h>
#include <executorch/runtime/core/exec_aten/exec_aten.h>

#include <cstddef>
#include <optional>

namespace torchtrt_ws::tensorrt {

/// ExecuTorch's type for TensorRT's; nullopt for types that hold no whole byte (INT4, FP4) or that ExecuTorch lacks.
std::optional<executorch::aten::ScalarType> scalar_type(nvinfer1::DataType type) noexcept;

/// Bytes of one element of a type that scalar_type() knows; 0 for others.
size_t element_bytes(nvinfer1::DataType type) noexcept;

/// TensorRT's name, such as "kINT4"; "an unknown type" for one that came after this version. Never null.
const char* type_name(nvinfer1::DataType type) noexcept;

}  // namespace torchtrt_ws::tensorrt
