#pragma once

#include <cstddef>
#include <cstdint>

namespace torchtrt_ws {

/// Writes the lowest `bytes` bytes of `value`, the lowest first.
inline void put_little_endian(uint8_t* at, uint64_t value, size_t bytes) noexcept {
  for (size_t i = 0; i < bytes; ++i) at[i] = static_cast<uint8_t>(value >> (8 * i));
}

inline uint64_t get_little_endian(const uint8_t* at, size_t bytes) noexcept {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(at[i]) << (8 * i);
  return value;
}

}  // namespace torchtrt_ws
