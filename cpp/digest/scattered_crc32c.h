#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "digest/crc32c.h"

namespace torchtrt_ws {

/// The CRC-32C of data that somebody reads anyway: in pieces, in any order, by several threads. Safe to use from them.
class ScatteredCrc32c {
 public:
  /// The bytes [from, to) were read, with that checksum.
  void add(uint64_t from, uint64_t to, const Crc32c& crc);

  /// That of data[0, size), whose bytes outside of the pieces are read now, as are those of pieces that overlap.
  [[nodiscard]] uint32_t of(const uint8_t* data, uint64_t size) const;

 private:
  struct Piece {
    uint64_t from;
    uint64_t to;
    Crc32c crc;
  };

  mutable std::mutex mutex_;  // guards the pieces
  std::vector<Piece> pieces_;
};

}  // namespace torchtrt_ws
