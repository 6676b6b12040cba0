#pragma once

#include <executorch/runtime/core/exec_aten/exec_aten.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace torchtrt_ws {

/// A dtype that tensors of a program may have.
struct Dtype {
  const char* name;  // in the metadata: torch's name without "torch."
  executorch::aten::ScalarType type;
  size_t bytes;         // of one element
  uint8_t dlpack_code;  // DLDataTypeCode (dlpack.h of DLPack 1.1); its bits are 8 * bytes, and one lane
  bool in_numpy;
};

/// All of them. Python has the same names in torchtrt_ws/export/tensor_spec.py, and unsigned integers beside.
inline constexpr Dtype kDtypes[] = {
    {"float32", executorch::aten::ScalarType::Float, 4, 2, true},
    {"float64", executorch::aten::ScalarType::Double, 8, 2, true},
    {"float16", executorch::aten::ScalarType::Half, 2, 2, true},
    {"bfloat16", executorch::aten::ScalarType::BFloat16, 2, 4, false},
    {"int8", executorch::aten::ScalarType::Char, 1, 0, true},
    {"int16", executorch::aten::ScalarType::Short, 2, 0, true},
    {"int32", executorch::aten::ScalarType::Int, 4, 0, true},
    {"int64", executorch::aten::ScalarType::Long, 8, 0, true},
    {"uint8", executorch::aten::ScalarType::Byte, 1, 1, true},
    {"uint16", executorch::aten::ScalarType::UInt16, 2, 1, true},
    {"uint32", executorch::aten::ScalarType::UInt32, 4, 1, true},
    {"uint64", executorch::aten::ScalarType::UInt64, 8, 1, true},
    {"bool", executorch::aten::ScalarType::Bool, 1, 6, true},
    {"float8_e4m3fn", executorch::aten::ScalarType::Float8_e4m3fn, 1, 10, false},
    {"float8_e4m3fnuz", executorch::aten::ScalarType::Float8_e4m3fnuz, 1, 11, false},
    {"float8_e5m2", executorch::aten::ScalarType::Float8_e5m2, 1, 12, false},
    {"float8_e5m2fnuz", executorch::aten::ScalarType::Float8_e5m2fnuz, 1, 13, false},
};

/// The row of a name, or of ExecuTorch's type; null where there is none.
constexpr const Dtype* find_dtype(std::string_view name) noexcept {
  for (const Dtype& known : kDtypes) {
    if (name == known.name) return &known;
  }
  return nullptr;
}
constexpr const Dtype* find_dtype(executorch::aten::ScalarType type) noexcept {
  for (const Dtype& known : kDtypes) {
    if (type == known.type) return &known;
  }
  return nullptr;
}

}  // namespace torchtrt_ws
