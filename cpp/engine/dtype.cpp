#include "engine/dtype.h"

#include <utility>

namespace torchtrt_ws {
namespace {

using executorch::aten::ScalarType;

constexpr std::pair<std::string_view, ScalarType> kNames[] = {
    {"float32", ScalarType::Float},
    {"float16", ScalarType::Half},
    {"bfloat16", ScalarType::BFloat16},
    {"float64", ScalarType::Double},
    {"int64", ScalarType::Long},
    {"int32", ScalarType::Int},
    {"int16", ScalarType::Short},
    {"int8", ScalarType::Char},
    {"uint8", ScalarType::Byte},
    {"bool", ScalarType::Bool},
    {"uint16", ScalarType::UInt16},
    {"uint32", ScalarType::UInt32},
    {"uint64", ScalarType::UInt64},
    {"float8_e4m3fn", ScalarType::Float8_e4m3fn},
    {"float8_e5m2", ScalarType::Float8_e5m2},
};

}  // namespace

std::optional<ScalarType> scalar_type_from_name(std::string_view name) {
  for (const auto& [known, type] : kNames) {
    if (known == name) return type;
  }
  return std::nullopt;
}

const char* dtype_name(ScalarType type) {
  for (const auto& [name, known] : kNames) {
    if (known == type) return name.data();
  }
  return "unknown";
}

}  // namespace torchtrt_ws
