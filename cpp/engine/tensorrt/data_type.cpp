#include "engine/tensorrt/data_type.h"

#include "engine/dtype.h"

namespace torchtrt_ws::tensorrt {
namespace {

using executorch::aten::ScalarType;
using nvinfer1::DataType;

struct Row {
  DataType type;
  const char* name;
  ScalarType scalar;  // Undefined: not a type of tensors here
};

// TensorRT's FP8 is E4M3 (NvInferRuntimeBase.h: 4 exponent bits, 3 mantissa bits, bias 7), torch's float8_e4m3fn.
constexpr Row kRows[] = {
    {DataType::kFLOAT, "kFLOAT", ScalarType::Float},  {DataType::kHALF, "kHALF", ScalarType::Half},
    {DataType::kBF16, "kBF16", ScalarType::BFloat16}, {DataType::kFP8, "kFP8", ScalarType::Float8_e4m3fn},
    {DataType::kINT8, "kINT8", ScalarType::Char},     {DataType::kUINT8, "kUINT8", ScalarType::Byte},
    {DataType::kINT32, "kINT32", ScalarType::Int},    {DataType::kINT64, "kINT64", ScalarType::Long},
    {DataType::kBOOL, "kBOOL", ScalarType::Bool},     {DataType::kINT4, "kINT4", ScalarType::Undefined},
    {DataType::kFP4, "kFP4", ScalarType::Undefined},  {DataType::kE8M0, "kE8M0", ScalarType::Undefined},
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
  if (found == nullptr || found->scalar == ScalarType::Undefined) return std::nullopt;
  return found->scalar;
}

size_t element_bytes(DataType type) noexcept {
  const auto scalar = scalar_type(type);
  const Dtype* found = scalar ? find_dtype(*scalar) : nullptr;
  return found == nullptr ? 0 : found->bytes;
}

const char* type_name(DataType type) noexcept {
  const Row* found = row(type);
  return found == nullptr ? "an unknown type" : found->name;
}

}  // namespace torchtrt_ws::tensorrt
