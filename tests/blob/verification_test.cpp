#include "blob/verification.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

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
  return Verification(verify, metadata, "engine 'e'").finish(bytes_of(engine), engine.size());
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

/// Reads that jump about: what is taken in order is not taken again, and all the rest is.
TEST(Verification, AnyOrderOfReadsComesToTheSame) {
  const std::vector<std::vector<std::pair<std::size_t, std::size_t>>> orders = {
      {{0, 5}, {5, 18}}, {{0, 5}, {0, 5}, {5, 18}}, {{10, 5}, {0, 3}}, {{0, 3}, {7, 2}, {3, 4}}, {}};
  for (const auto& order : orders) {
    for (const bool damaged : {false, true}) {
      std::string engine = kEngine;
      if (damaged) engine.back() = '!';
      Verification verification(Verify::Checksum, recorded(), "engine 'e'");
      for (const auto& [offset, size] : order) verification.take(offset, engine.data() + offset, size);
      EXPECT_EQ(verification.finish(bytes_of(engine), engine.size()).ok(), !damaged);
    }
  }
}

TEST(ParseVerify, Words) {
  EXPECT_EQ(parse_verify("checksum"), Verify::Checksum);
  EXPECT_EQ(parse_verify("digest"), Verify::Digest);
  EXPECT_EQ(parse_verify("off"), Verify::Off);
  for (const char* text : {"", "Off", "on", "sha256", "checksum "}) EXPECT_EQ(parse_verify(text), std::nullopt) << text;
}

}  // namespace
}  // namespace torchtrt_ws
