#include "digest/scattered_crc32c.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace torchtrt_ws {
namespace {

const std::string kText = "the bytes of an engine, of which a reader took some twice and some never";
const std::string kMore = kText + "and what is behind it";

Crc32c crc_of(uint64_t from, uint64_t to) {
  Crc32c crc;
  crc.update(kMore.data() + from, to - from);
  return crc;
}

uint32_t after(const std::vector<std::pair<uint64_t, uint64_t>>& reads) {
  ScatteredCrc32c scattered;
  for (const auto& [from, to] : reads) scattered.add(from, to, crc_of(from, to));
  return scattered.of(reinterpret_cast<const uint8_t*>(kText.data()), kText.size());
}

TEST(ScatteredCrc32c, IsTheWholeHoweverItWasRead) {
  const uint32_t whole = crc_of(0, kText.size()).value();
  EXPECT_EQ(after({}), whole);
  EXPECT_EQ(after({{0, kText.size()}}), whole);
  EXPECT_EQ(after({{40, kText.size()}, {0, 10}, {10, 40}}), whole) << "out of order";
  EXPECT_EQ(after({{5, 6}, {30, 31}}), whole) << "gaps";
  EXPECT_EQ(after({{0, 20}, {10, 30}, {0, 20}, {25, 25}}), whole) << "twice, and nothing";
  EXPECT_EQ(after({{60, kText.size() + 9}}), whole) << "past the end, so that it is not believed";
}

TEST(ScatteredCrc32c, APieceThatWasDifferentMakesTheWholeDifferent) {
  ScatteredCrc32c scattered;
  Crc32c other;
  other.update("other", 5);
  scattered.add(10, 15, other);
  EXPECT_NE(scattered.of(reinterpret_cast<const uint8_t*>(kText.data()), kText.size()),
            crc_of(0, kText.size()).value());
}

TEST(ScatteredCrc32c, ThreadsMayAdd) {
  ScatteredCrc32c scattered;
  std::vector<std::thread> threads;
  for (uint64_t from = 0; from < kText.size(); from += 8) {
    threads.emplace_back([&scattered, from, to = std::min<uint64_t>(from + 8, kText.size())] {
      scattered.add(from, to, crc_of(from, to));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(scattered.of(reinterpret_cast<const uint8_t*>(kText.data()), kText.size()),
            crc_of(0, kText.size()).value());
}

}  // namespace
}  // namespace torchtrt_ws
