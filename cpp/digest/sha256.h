#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace torchtrt_ws {

/// SHA-256, which names what a cache holds: nobody can make two engines of one digest.
///
/// Written here because no registry that a build reaches carries a C++ library of it. Source: FIPS 180-4; tests compare
/// it with Python's hashlib. With the SHA extensions of x86-64 it takes some 2 GB/s, without them a quarter.
class Sha256 {
 public:
  using Digest = std::array<unsigned char, 32>;

  /// Takes `size` bytes more. `data` may be null when `size` is 0.
  void update(const void* data, std::size_t size) noexcept;

  /// The digest of all bytes taken so far. Takes none afterwards.
  [[nodiscard]] Digest finish() noexcept;

  /// finish() as 64 lower-case hexadecimal digits.
  [[nodiscard]] std::string finish_hex();

 private:
  void take_blocks(const unsigned char* data, std::size_t blocks) noexcept;

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> rest_{};  // of a block that is not full yet
  std::uint64_t size_ = 0;                // bytes taken
};

/// 64 lower-case hexadecimal digits: the SHA-256 of `size` bytes.
[[nodiscard]] std::string sha256_hex(const void* data, std::size_t size);

/// Which code takes the blocks. For tests, which run both.
enum class ShaCode { Portable, Extensions };
[[nodiscard]] bool has_sha_extensions() noexcept;
void take_sha256_blocks(ShaCode code, std::array<std::uint32_t, 8>& state, const unsigned char* data,
                        std::size_t blocks) noexcept;

}  // namespace torchtrt_ws
