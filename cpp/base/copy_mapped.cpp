#include "base/copy_mapped.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/file_mapping.h"
#include "base/pieces.h"
#include "base/read_ahead.h"

namespace torchtrt_ws {
namespace {

constexpr uint64_t kPiece = uint64_t{2} << 20;  // bytes copied between two hand-backs, of each thread

/// The least that is worth other threads; starting them takes as long as copying some MiB.
constexpr uint64_t kLarge = uint64_t{64} << 20;  // bytes

}  // namespace

void copy_mapped(const uint8_t* data, uint64_t from, uint64_t to, char* destination, bool file_backed,
                 const std::function<void(uint64_t from, uint64_t to)>& copied) {
  std::optional<ReadAhead> ahead;
  if (file_backed) ahead.emplace(data, from, to);
  const auto copy = [&](uint64_t start, uint64_t end) {
    if (ahead) ahead->before(start, end);
    std::memcpy(destination + (start - from), data + start, end - start);
    copied(start, end);
    if (file_backed) drop_pages(data, start, end);
  };
  // Pieces lie as pages do: a page fault brings in the pages around it, which would be those of a piece that was
  // dropped.
  const uint64_t into_piece = reinterpret_cast<uintptr_t>(data + from) % kPiece;
  const uint64_t head = std::min(to - from, kPiece - into_piece);
  copy(from, from + head);
  for_each_piece(to - from - head, kPiece, to - from < kLarge ? 1 : moving_threads(),
                 [&](uint64_t start, uint64_t end) { copy(from + head + start, from + head + end); });
}

}  // namespace torchtrt_ws
