#include "base/pieces.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

namespace torchtrt_ws {

unsigned moving_threads() noexcept {
  constexpr unsigned kMost = 8;  // seen on a host of 16 processors: more of them copy no faster
  return std::clamp(std::thread::hardware_concurrency(), 1u, kMost);
}

void for_each_piece(uint64_t size, uint64_t piece, unsigned threads,
                    const std::function<void(uint64_t from, uint64_t to)>& work) {
  const uint64_t count = size / piece + (size % piece != 0 ? 1 : 0);
  std::atomic<uint64_t> next{0};
  const auto take_pieces = [&] {
    for (uint64_t index = next++; index < count; index = next++) {
      const uint64_t from = index * piece;
      work(from, from + std::min(piece, size - from));
    }
  };
  std::vector<std::thread> others;
  try {
    for (uint64_t more = std::min<uint64_t>(threads, count); more > 1; --more) others.emplace_back(take_pieces);
  } catch (const std::system_error&) {  // no thread to be had
  } catch (const std::bad_alloc&) {
  }
  take_pieces();
  for (std::thread& other : others) other.join();
}

}  // namespace torchtrt_ws
