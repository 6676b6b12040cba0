#pragma once

#include <cstdint>

#include "engine/host/mapping.h"

namespace torchtrt_ws::host {

/// Keeps the first bytes of a file mapping resident, and lets go of the rest when told.
///
/// The kept part is locked (mlock(2)), which also reads it in. Where RLIMIT_MEMLOCK forbids that, the part is read in
/// and left to the system, which may drop it when memory is short; that is said once per process. A part that cannot be
/// read in either is not kept. The mapping must be file-backed and clean: dropped pages come back from the file.
class Residency {
 public:
  explicit Residency(Range range) : range_(range) {}

  /// Keeps the first `bytes` in whole pages, rounded up when they are `all` the weights and down otherwise; drops the
  /// rest.
  void keep(int64_t bytes, int64_t all);

  /// Drops what is not kept. Called after each run: the weights it needed have come in by then.
  void drop_rest();

  /// Bytes that keep() keeps, in whole pages: what became of what was asked.
  int64_t kept() const { return static_cast<int64_t>(kept_); }

  int64_t resident() const { return static_cast<int64_t>(resident_bytes(range_)); }

 private:
  Range range_;
  size_t kept_ = 0;  // bytes from the start, whole pages
  bool locked_ = false;
};

}  // namespace torchtrt_ws::host
