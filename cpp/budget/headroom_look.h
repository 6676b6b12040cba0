#pragma once

#include <cstdint>

namespace torchtrt_ws {

/// What to do about the bytes that are to stay free on a device, after one look at it.
struct HeadroomLook {
  int64_t missing;  ///< Of the headroom: to be taken from engines now.
  int64_t spare;    ///< May be given back to engines now.
  bool is_calm;     ///< More than enough is free; for the next look.
};

/// Looks at `free` bytes of a device of which `headroom` are to stay free. Pure; none negative.
///
/// Memory is taken at once, and given back slowly, so that processes that share a device do not swing: only what
/// exceeds the headroom by more than 64 MiB, only when the look before was calm too, and half of it at a time, of which
/// a second process may see the same and take the other half.
[[nodiscard]] HeadroomLook look_at_headroom(int64_t free, int64_t headroom, bool was_calm) noexcept;

}  // namespace torchtrt_ws
