#pragma once

#include <cstddef>
#include <cstdint>

namespace torchtrt_ws {

/// CRC-32C (Castagnoli), the checksum that a blob records of its engine: it finds damage, not malice.
///
/// Written here because no registry that a build reaches carries a C++ library of it. Source: RFC 3720, appendix B.4;
/// tests compare it with the PyPI package google-crc32c, which writes the checksum at save. With SSE4.2 it runs at the
/// speed of memory, on Arm by its CRC-32 instructions (optional before ARMv8.1), else by table.
class Crc32c {
 public:
  /// Takes `size` bytes more. `data` may be null when `size` is 0.
  void update(const void* data, std::size_t size) noexcept;

  /// Takes the `size` bytes more that `next` took, and nothing else: pieces may be read in any order, by several
  /// threads.
  void append(const Crc32c& next, std::uint64_t size) noexcept;

  /// The checksum of all bytes taken so far; 0 of none.
  [[nodiscard]] std::uint32_t value() const noexcept { return ~state_; }

 private:
  std::uint32_t state_ = 0xFFFFFFFF;  // the register, not inverted
};

/// The same without the instructions of newer processors: for tests.
[[nodiscard]] std::uint32_t crc32c_by_table(const void* data, std::size_t size) noexcept;

}  // namespace torchtrt_ws
