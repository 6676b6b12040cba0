#include "blob/verification.h"

#include <gtest/gtest.h>

#include <string>

#include "digest/crc32c.h"
#include "digest/sha256.h"

namespace torchtrt_ws {
namespace {

const std::string kEngine = "an engine of some bytes";

Metadata recorded(bool with_checksum = true) {
  Metadata metadata{};
  metadata.own.emplace();
  metadata.own->sha256 = sha256_hex(kEngine.data(), kEngine.size());
  if (with_checksum) {
    Crc32c crc;
    crc.update(kEngine.data(), kEngine.size());
    metadata.own->crc32c = crc.value();
  }
  return metadata;
}

const uint8_t* bytes_of(const std::string& engine) { return reinterpret_cast<const uint8_t*>(engine.data()); }

Status verified(Verify verify, const Metadata& metadata, const std::string& engine) {
  return Verification(verify, metadata, "engine 'e'").compare(bytes_of(engine), engine.size());
}

TEST(Verification, TakesTheSameBytesAndRefusesOthers) {
  for (const Verify verify : {Verify::Checksum, Verify::Digest}) {
    EXPECT_TRUE(verified(verify, recorded(), kEngine).ok());
    for (std::size_t i = 0; i < kEngine.size(); ++i) {
      std::string damaged = kEngine;
      damaged[i] = static_cast<char>(damaged[i] ^ 1);
      const Status status = verified(verify, recorded(), damaged);
      ASSERT_FALSE(status.ok()) << i;
      EXPECT_EQ(status.failure().code, ErrorCode::BadEngine);
      EXPECT_NE(status.failure().message().find("as the file records"), std::string::npos);
    }
    EXPECT_FALSE(verified(verify, recorded(), kEngine.substr(1)).ok());
  }
}

TEST(Verification, OffComparesNothing) {
  EXPECT_TRUE(verified(Verify::Off, recorded(), "other bytes").ok());
  EXPECT_TRUE(Verification(Verify::Off, Metadata{}, "engine 'e'").note().empty());
}

TEST(Verification, AFileWithoutAChecksumIsSaidToBe) {
  for (const Metadata& metadata : {Metadata{}, recorded(false)}) {
    const Verification verification(Verify::Checksum, metadata, "engine 'e'");
    EXPECT_NE(verification.note().find("engine 'e' is not verified"), std::string::npos);
    EXPECT_NE(verification.note().find("`torchtrt-ws annotate` adds one"), std::string::npos);
    EXPECT_TRUE(verified(Verify::Checksum, metadata, "any bytes").ok());
  }
  EXPECT_TRUE(Verification(Verify::Checksum, recorded(), "engine 'e'").note().empty());
}

TEST(Verification, ADigestThatIsAskedForMustBeThere) {
  const Status status = verified(Verify::Digest, Metadata{}, kEngine);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.failure().code, ErrorCode::BadBlob);
  EXPECT_TRUE(verified(Verify::Digest, recorded(false), kEngine).ok());
}

TEST(Verification, SaysWhichBytesItHasRead) {
  const std::string engine(std::size_t{5} << 19, 'x');  // 2.5 MiB
  Metadata metadata{};
  metadata.own.emplace();
  Crc32c crc;
  crc.update(engine.data(), engine.size());
  metadata.own->crc32c = crc.value();
  uint64_t read = 0;
  const Verification verification(Verify::Checksum, metadata, "engine 'e'");
  const Status status = verification.compare(bytes_of(engine), engine.size(), [&](uint64_t from, uint64_t to) {
    EXPECT_EQ(from, read);
    EXPECT_GT(to, from);
    read = to;
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(read, engine.size());
}

TEST(Verification, TakesAChecksumThatWasFoundOnTheWay) {
  const Metadata metadata = recorded();
  const Verification verification(Verify::Checksum, metadata, "engine 'e'");
  EXPECT_TRUE(verification.compares_checksum_only());
  EXPECT_TRUE(verification.compare_checksum(*metadata.own->crc32c, kEngine.size()).ok());
  const Status other = verification.compare_checksum(*metadata.own->crc32c ^ 1, kEngine.size());
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.failure().code, ErrorCode::BadEngine);
  EXPECT_FALSE(Verification(Verify::Digest, metadata, "engine 'e'").compares_checksum_only());
  EXPECT_FALSE(Verification(Verify::Checksum, recorded(false), "engine 'e'").compares_checksum_only());
}

TEST(ParseVerify, Words) {
  EXPECT_EQ(parse_verify("checksum"), Verify::Checksum);
  EXPECT_EQ(parse_verify("digest"), Verify::Digest);
  EXPECT_EQ(parse_verify("off"), Verify::Off);
  for (const char* text : {"", "Off", "on", "sha256", "checksum "}) EXPECT_EQ(parse_verify(text), std::nullopt) << text;
}

}  // namespace
}  // namespace torchtrt_ws
