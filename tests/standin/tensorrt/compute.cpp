#include "compute.h"

#include <cmath>
#include <cstdint>
#include <cstring>

namespace standin {
namespace {

using nvinfer1::DataType;

template <typename T>
T load_as(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <typename T>
void store_as(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

float from_bits(uint32_t bits) { return load_as<float>(reinterpret_cast<const std::byte*>(&bits)); }
uint32_t to_bits(float value) { return load_as<uint32_t>(reinterpret_cast<const std::byte*>(&value)); }

double load_half(uint16_t half) {
  double sign = (half & 0x8000) != 0 ? -1 : 1;
  int exponent = (half >> 10) & 31, mantissa = half & 1023;
  if (exponent == 31) return mantissa != 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

// Round to nearest even, in units of the last place.
uint16_t round_half(double value) {
  uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  double size = std::fabs(value);
  if (std::isnan(value)) return 0x7E00;
  if (size >= 65520) return sign | 0x7C00;
  int exponent = size < std::ldexp(1, -14) ? -14 : std::ilogb(size);
  auto units = static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent)));
  // A carry out of the mantissa moves on to the exponent by itself.
  return static_cast<uint16_t>(sign | (((exponent + 14) << 10) + units));
}

uint16_t round_bfloat(double value) {
  uint32_t bits = to_bits(static_cast<float>(value));
  if (std::isnan(value)) return 0x7FC0;
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

double load(const std::byte* data, DataType dtype, size_t i) {
  const std::byte* at = data + i * element_size(dtype);
  switch (dtype) {
    case DataType::kFLOAT:
      return static_cast<double>(load_as<float>(at));
    case DataType::kHALF:
      return load_half(load_as<uint16_t>(at));
    case DataType::kBF16:
      return static_cast<double>(from_bits(uint32_t{load_as<uint16_t>(at)} << 16));
    case DataType::kINT8:
      return load_as<int8_t>(at);
    case DataType::kINT32:
      return load_as<int32_t>(at);
    case DataType::kINT64:
      return static_cast<double>(load_as<int64_t>(at));
    case DataType::kBOOL:
      return load_as<uint8_t>(at) != 0;
    default:
      return load_as<uint8_t>(at);  // and float8 is carried, not computed
  }
}

void store(std::byte* data, DataType dtype, size_t i, double value) {
  std::byte* at = data + i * element_size(dtype);
  switch (dtype) {
    case DataType::kFLOAT:
      return store_as(at, static_cast<float>(value));
    case DataType::kHALF:
      return store_as(at, round_half(value));
    case DataType::kBF16:
      return store_as(at, round_bfloat(value));
    case DataType::kINT8:
      return store_as(at, static_cast<int8_t>(std::nearbyint(value)));
    case DataType::kINT32:
      return store_as(at, static_cast<int32_t>(std::nearbyint(value)));
    case DataType::kINT64:
      return store_as(at, static_cast<int64_t>(std::llrint(value)));
    case DataType::kBOOL:
      return store_as(at, static_cast<uint8_t>(value != 0));
    default:
      return store_as(at, static_cast<uint8_t>(std::nearbyint(value)));
  }
}

}  // namespace

double load_first(const void* data, DataType dtype) { return load(static_cast<const std::byte*>(data), dtype, 0); }

void compute_affine(double bias, const std::vector<Operand>& operands, DataType dtype, std::byte* target,
                    size_t count) {
  for (size_t i = 0; i < count; ++i) {
    double value = bias;
    for (const Operand& operand : operands) {
      value += operand.factor * load(operand.data, operand.dtype, operand.count == 0 ? 0 : i % operand.count);
    }
    store(target, dtype, i, value);
  }
}

std::vector<std::vector<int64_t>> find_nonzero(const Operand& operand, const std::vector<int64_t>& shape) {
  std::vector<std::vector<int64_t>> found(shape.size());
  for (size_t i = 0; i < operand.count; ++i) {
    if (load(operand.data, operand.dtype, i) == 0) continue;
    auto rest = static_cast<int64_t>(i);
    for (size_t d = shape.size(); d-- > 0;) {
      found[d].push_back(rest % shape[d]);
      rest /= shape[d];
    }
  }
  return found;
}

void write_indices(const std::vector<std::vector<int64_t>>& indices, DataType dtype, std::byte* target) {
  size_t at = 0;
  for (const auto& row : indices) {
    for (const int64_t index : row) store(target, dtype, at++, static_cast<double>(index));
  }
}

void compute_sum(double bias, const std::vector<Operand>& operands, DataType dtype, std::byte* target) {
  double value = bias;
  for (const Operand& operand : operands) {
    for (size_t i = 0; i < operand.count; ++i) value += operand.factor * load(operand.data, operand.dtype, i);
  }
  store(target, dtype, 0, value);
}

}  // namespace standin
