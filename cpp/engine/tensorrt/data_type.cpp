#include "engine/tensorrt/data_type.h"

namespace torchtrt_ws::tensorrt {
namespace {

using executorch::aten::ScalarType;
using nvinfer1::DataType;

struct Row {
  DataType type;
  const char* name;
  size_t bytes;  // 0: not a type of tensors here
  ScalarType scalar;
};

// TensorRT's FP8 is E4M3 (NvInferRuntimeBase.h: 4 exponent bits, 3 mantissa bits, bias 7), torch's float8_e4m3fn.
constexpr Row kRows[] = {
    {DataType::kFLOAT, "kFLOAT", 4, ScalarType::Float},  {DataType::kHALF, "kHALF", 2, ScalarType::Half},
    {DataType::kBF16, "kBF16", 2, ScalarType::BFloat16}, {DataType::kFP8, "kFP8", 1, ScalarType::Float8_e4m3fn},
    {DataType::kINT8, "kINT8", 1, ScalarType::Char},     {DataType::kUINT8, "kUINT8", 1, ScalarType::Byte},
    {DataType::kINT32, "kINT32", 4, ScalarType::Int},    {DataType::kINT64, "kINT64", 8, ScalarType::Long},
    {DataType::kBOOL, "kBOOL", 1, ScalarType::Bool},     {DataType::kINT4, "kINT4", 0, ScalarType::Undefined},
    {DataType::kFP4, "kFP4", 0, ScalarType::Undefined},  {DataType::kE8M0, "kE8M0", 0, ScalarType::Undefined},
};

const Row* row(DataType type) noexcept {
  for (const Row& candidate : kRows) {
    if (candidate.type == type) return &candidate;
  }
  return nullptr;
}

}  // namespace

std::optional<ScalarType> scalar_type(DataType type) noexcept {
  const Row* found = row(type);
  if (found == nullptr || found->bytes == 0) return std::nullopt;
  return found->scalar;
}

size_t element_bytes(DataType type) noexcept {
  const Row* found = row(type);
  return found == nullptr ? 0 : found->bytes;
}

const char* type_name(DataType type) noexcept {
  const Row* found = row(type);
  return found == nullptr ? "an unknown type" : found->name;
}

}  // namespace torchtrt_ws::tensorrt
