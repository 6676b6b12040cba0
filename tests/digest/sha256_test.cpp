#include "digest/sha256.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace torchtrt_ws {
namespace {

TEST(Sha256, KnownValues) {  // FIPS 180-4's examples
  EXPECT_EQ(sha256_hex(nullptr, 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  EXPECT_EQ(sha256_hex(two.data(), two.size()), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const std::string million(1000000, 'a');
  EXPECT_EQ(sha256_hex(million.data(), million.size()),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesAreTheWhole) {
  std::string data;
  for (int i = 0; i < 1000; ++i) data += static_cast<char>(i * 7);
  const std::string whole = sha256_hex(data.data(), data.size());
  for (const std::size_t piece : std::vector<std::size_t>{1, 7, 63, 64, 65, 200}) {
    Sha256 hash;
    for (std::size_t at = 0; at < data.size(); at += piece) {
      hash.update(data.data() + at, std::min(piece, data.size() - at));
    }
    EXPECT_EQ(hash.finish_hex(), whole) << piece;
  }
}

TEST(Sha256, PaddingAtEverySize) {  // sizes around the ends of blocks, against the size one byte at a time
  const std::string data(200, 'x');
  for (std::size_t size = 0; size < data.size(); ++size) {
    Sha256 hash;
    for (std::size_t i = 0; i < size; ++i) hash.update(&data[i], 1);
    EXPECT_EQ(hash.finish_hex(), sha256_hex(data.data(), size)) << size;
  }
}

TEST(Sha256, ExtensionsAndPortableCodeAgree) {
  if (!has_sha_extensions()) return;  // then all tests above ran the portable code
  std::vector<unsigned char> data(std::size_t{64} * 50);
  uint32_t state = 1;
  for (auto& byte : data) byte = static_cast<unsigned char>((state = state * 1664525 + 1013904223) >> 24);
  std::array<uint32_t, 8> portable{1, 2, 3, 4, 5, 6, 7, 8}, extended = portable;
  take_sha256_blocks(ShaCode::Portable, portable, data.data(), 50);
  take_sha256_blocks(ShaCode::Extensions, extended, data.data(), 50);
  EXPECT_EQ(portable, extended);
}

}  // namespace
}  // namespace torchtrt_ws
