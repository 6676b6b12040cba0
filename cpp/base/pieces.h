#pragma once

#include <cstdint>
#include <functional>

namespace torchtrt_ws {

/// Threads that move memory faster than one does, the caller's among them: at most 8, and no more than there are
/// processors.
unsigned moving_threads() noexcept;

/// Calls `work(from, to)` for every piece of [0, size), each of `piece` bytes but the last, once and in no order, in
/// `threads` threads; the caller's is one of them. Where a thread is not to be had, the others do its part. Returns
/// when all is done. `work` does not throw.
void for_each_piece(uint64_t size, uint64_t piece, unsigned threads,
                    const std::function<void(uint64_t from, uint64_t to)>& work);

}  // namespace torchtrt_ws
