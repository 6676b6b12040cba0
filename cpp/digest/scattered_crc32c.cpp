#include "digest/scattered_crc32c.h"

#include <algorithm>

namespace torchtrt_ws {

void ScatteredCrc32c::add(uint64_t from, uint64_t to, const Crc32c& crc) {
  const std::lock_guard<std::mutex> lock(mutex_);
  pieces_.push_back({from, to, crc});
}

uint32_t ScatteredCrc32c::of(const uint8_t* data, uint64_t size) const {
  std::vector<Piece> pieces;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    pieces = pieces_;
  }
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.from < b.from; });
  Crc32c whole;
  uint64_t done = 0;
  for (const Piece& piece : pieces) {
    if (piece.from < done || piece.to > size) continue;
    whole.update(data + done, piece.from - done);
    whole.append(piece.crc, piece.to - piece.from);
    done = piece.to;
  }
  whole.update(data + done, size - done);
  return whole.value();
}

}  // namespace torchtrt_ws
