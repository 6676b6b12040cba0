#pragma once

#include <algorithm>
#include <cstdint>

#include "base/file_mapping.h"

namespace torchtrt_ws {

/// Keeps the disk busy for who reads a file mapping piece by piece, in about its order and maybe with several threads:
/// 64 MiB ahead of the piece that is read. A piece that is asked for only when its turn comes leaves the disk idle
/// while it is copied. Pages that are in memory cost a look at the page cache.
class ReadAhead {
 public:
  static constexpr uint64_t kWindow = uint64_t{64} << 20;  // bytes; of the largest drives, what is in flight at once

  /// Bytes [from, to).
  struct Bytes {
    uint64_t from;
    uint64_t to;
  };

  /// Asks for the first window of [from, end) of `data`, a file mapping.
  ReadAhead(const void* data, uint64_t from, uint64_t end) noexcept : data_(data), end_(end) {
    ask({from, std::min(end, from + std::min(kWindow, end - from))});
  }

  /// Asks for what lies a window behind [from, to), before that is read. Each byte is asked for once when each is
  /// read once.
  void before(uint64_t from, uint64_t to) const noexcept { ask(behind({from, to}, end_)); }

  /// What before() asks for. Pure.
  static constexpr Bytes behind(Bytes piece, uint64_t end) noexcept {
    const auto later = [end](uint64_t at) { return at >= end || end - at <= kWindow ? end : at + kWindow; };
    return {later(piece.from), later(piece.to)};
  }

 private:
  void ask(Bytes bytes) const noexcept { read_ahead(data_, bytes.from, bytes.to); }

  const void* const data_;
  const uint64_t end_;
};

}  // namespace torchtrt_ws
