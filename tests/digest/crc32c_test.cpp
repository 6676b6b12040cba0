#include "digest/crc32c.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace torchtrt_ws {
namespace {

std::vector<unsigned char> bytes(std::size_t count) {
  std::vector<unsigned char> data(count);
  uint32_t state = 1;
  for (auto& byte : data) byte = static_cast<unsigned char>((state = state * 1664525 + 1013904223) >> 24);
  return data;
}

uint32_t crc32c(const void* data, std::size_t size) {
  Crc32c crc;
  crc.update(data, size);
  return crc.value();
}

TEST(Crc32c, KnownValues) {  // RFC 3720, appendix B.4, and the check value of the CRC catalogues
  EXPECT_EQ(crc32c(nullptr, 0), 0U);
  EXPECT_EQ(crc32c("123456789", 9), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0').data(), 32), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xFF').data(), 32), 0x62A8AB43U);
}

TEST(Crc32c, InstructionsAndTableAgreeAtEverySizeAndAlignment) {
  const auto data = bytes(40000);
  for (const unsigned size : {1U, 7U, 8U, 9U, 63U, 4095U, 4096U, 12287U, 12288U, 12289U, 24576U, 36871U}) {
    for (const unsigned offset : {0U, 1U, 3U}) {
      EXPECT_EQ(crc32c(data.data() + offset, size), crc32c_by_table(data.data() + offset, size)) << size;
    }
  }
}

TEST(Crc32c, PiecesAreTheWhole) {
  const auto data = bytes(30000);
  Crc32c crc;
  for (std::size_t at = 0; at < data.size();) {
    const std::size_t size = std::min<std::size_t>(data.size() - at, at % 4097 + 1);
    crc.update(data.data() + at, size);
    at += size;
  }
  EXPECT_EQ(crc.value(), crc32c(data.data(), data.size()));
}

TEST(Crc32c, PiecesThatWereReadApartAreTheWhole) {
  const auto data = bytes(30000);
  Crc32c crc;
  for (std::size_t at = 0, count = 0; at < data.size(); ++count) {
    const std::size_t size = std::min(data.size() - at, count * 331 % 4097);
    Crc32c piece;
    piece.update(data.data() + at, size);
    crc.append(piece, size);  // also of nothing
    at += size;
  }
  EXPECT_EQ(crc.value(), crc32c(data.data(), data.size()));
}

TEST(Crc32c, EveryChangedByteIsSeen) {
  auto data = bytes(512);
  const uint32_t whole = crc32c(data.data(), data.size());
  for (auto& byte : data) {
    byte ^= 0x10;
    EXPECT_NE(crc32c(data.data(), data.size()), whole);
    byte ^= 0x10;
  }
}

}  // namespace
}  // namespace torchtrt_ws
