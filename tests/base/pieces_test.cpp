#include "base/pieces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace torchtrt_ws {
namespace {

using Pieces = std::vector<std::pair<uint64_t, uint64_t>>;

Pieces taken(uint64_t size, uint64_t piece, unsigned threads) {
  Pieces pieces;
  std::mutex mutex;
  for_each_piece(size, piece, threads, [&](uint64_t from, uint64_t to) {
    const std::lock_guard<std::mutex> lock(mutex);
    pieces.emplace_back(from, to);
  });
  std::sort(pieces.begin(), pieces.end());
  return pieces;
}

TEST(Pieces, CoverEverythingOnce) {
  for (const unsigned threads : {0u, 1u, 3u, 8u}) {
    EXPECT_EQ(taken(0, 4, threads), Pieces{});
    EXPECT_EQ(taken(3, 4, threads), (Pieces{{0, 3}}));
    EXPECT_EQ(taken(8, 4, threads), (Pieces{{0, 4}, {4, 8}}));
    EXPECT_EQ(taken(9, 4, threads), (Pieces{{0, 4}, {4, 8}, {8, 9}}));
    EXPECT_EQ(taken(100000, 7, threads).size(), 14286u);
  }
}

TEST(Pieces, ReachTheLargestSizes) {
  const uint64_t most = ~uint64_t{0};
  EXPECT_EQ(taken(most, uint64_t{1} << 63, 2), (Pieces{{0, uint64_t{1} << 63}, {uint64_t{1} << 63, most}}));
}

TEST(Pieces, AreTakenByAllThreads) {
  // Each piece waits until another thread has one, too: one thread alone would never end.
  std::mutex mutex;
  std::set<std::thread::id> ids;
  const auto count = [&] {
    const std::lock_guard<std::mutex> lock(mutex);
    ids.insert(std::this_thread::get_id());
    return ids.size();
  };
  for_each_piece(2, 1, 2, [&](uint64_t, uint64_t) {
    while (count() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(ids.size(), 2u);
}

TEST(Pieces, AreMovedByOneToEightThreads) {
  EXPECT_GE(moving_threads(), 1u);
  EXPECT_LE(moving_threads(), 8u);
}

}  // namespace
}  // namespace torchtrt_ws
