#include "blob/header.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "blob/bytes.h"

namespace torchtrt_ws {
namespace {

using testing::encode;
using testing::RawHeader;

// Bounds at the edges of 32 and 64 bits; header.h asserts the rest.
static_assert(wire::fits(UINT32_MAX, 1, uint64_t{UINT32_MAX} + 1));
static_assert(!wire::fits(UINT32_MAX, 2, uint64_t{UINT32_MAX} + 1));
static_assert(wire::fits(0, UINT64_MAX, UINT64_MAX));
static_assert(!wire::fits(1, UINT64_MAX, UINT64_MAX));
static_assert(!wire::fits(0, 1, 0));

/// A header that is right for a blob of 1024 bytes.
RawHeader good() {
  RawHeader header;
  header.metadata_size = 100;
  header.engine_offset = 144;
  header.engine_size = 1024 - 144;
  return header;
}

Result<Header> parse(const RawHeader& header, std::size_t size = 1024) {
  std::string bytes = encode(header);
  bytes.resize(size, 'x');
  return parse_header(bytes.data(), bytes.size());
}

TEST(ParseHeader, ReadsEveryField) {
  const Header header = parse(good()).value();
  EXPECT_FALSE(header.aliased);
  EXPECT_EQ(header.metadata_offset, 32U);
  EXPECT_EQ(header.metadata_size, 100U);
  EXPECT_EQ(header.engine_offset, 144U);
  EXPECT_EQ(header.engine_size, 880U);
}

TEST(ParseHeader, IsLittleEndianAndMayBeUnaligned) {
  RawHeader raw = good();
  raw.metadata_offset = 0x0102;
  raw.metadata_size = 0x0304;
  raw.engine_offset = 0x010230;
  raw.engine_size = 0x0102;
  std::string bytes = "?" + encode(raw);
  bytes.resize(0x020000);
  EXPECT_EQ(bytes.substr(1 + 4, 4), std::string("\x02\x01\x00\x00", 4));
  const Header header = parse_header(bytes.data() + 1, bytes.size() - 1).value();
  EXPECT_EQ(header.metadata_offset, 0x0102U);
  EXPECT_EQ(header.metadata_size, 0x0304U);
  EXPECT_EQ(header.engine_offset, 0x010230U);
  EXPECT_EQ(header.engine_size, 0x0102U);
}

TEST(ParseHeader, TR02IsAliased) {
  RawHeader header = good();
  header.magic = "TR02";
  EXPECT_TRUE(parse(header).value().aliased);
}

TEST(ParseHeader, TR03IsStrippedAndMayBeAliased) {
  RawHeader header = good();
  EXPECT_FALSE(parse(header).value().stripped);
  header.magic = "TR03";
  EXPECT_TRUE(parse(header).value().stripped);
  EXPECT_TRUE(parse(header).value().aliased);
}

TEST(ParseHeader, AListOfWeightsMayBeLongerThanOtherMetadata) {
  const auto found = [](std::string_view magic, std::size_t metadata) {
    RawHeader header;
    header.magic = magic;
    header.metadata_size = static_cast<uint32_t>(metadata);
    header.engine_offset = static_cast<uint32_t>((32 + metadata + 15) / 16 * 16);
    header.engine_size = 16;
    const auto parsed = parse(header, header.engine_offset + 16U);
    return parsed.ok() ? std::string() : parsed.failure().found;
  };
  EXPECT_EQ(found("TR01", wire::kMaxMetadataSize), "");
  EXPECT_EQ(found("TR01", wire::kMaxMetadataSize + 1), "1048577 bytes");
  EXPECT_EQ(found("TR03", wire::kMaxStrippedMetadataSize), "");
  EXPECT_EQ(found("TR03", wire::kMaxStrippedMetadataSize + 1), "4194305 bytes");
}

TEST(ParseHeader, TakesWhatTheFormatAllows) {
  RawHeader header = good();
  header.metadata_offset = 44;  // 44 + 100 = 144: right up to the engine
  EXPECT_TRUE(parse(header).ok());
  header = good();
  header.engine_size = 1;  // bytes behind the engine
  EXPECT_TRUE(parse(header).ok());
}

TEST(ParseHeader, IgnoresTheReservedBytes) {
  std::string bytes = encode(good());
  bytes.replace(wire::kReservedField, 8, 8, '\xff');
  bytes.resize(1024);
  EXPECT_TRUE(parse_header(bytes.data(), bytes.size()).ok());
}

TEST(ParseHeader, RefusesEveryTruncation) {
  const std::string bytes = encode(good());
  for (std::size_t size = 0; size < wire::kHeaderSize; ++size) {
    const std::vector<char> heap(bytes.begin(),
                                 bytes.begin() + static_cast<std::ptrdiff_t>(size));  // ASan sees its end
    const auto result = parse_header(heap.data(), heap.size());
    ASSERT_FALSE(result.ok()) << size;
    EXPECT_EQ(result.failure().code, ErrorCode::BadBlob);
    EXPECT_EQ(result.failure().found, std::to_string(size) + " bytes");
  }
  EXPECT_FALSE(parse_header(nullptr, 0).ok());
  EXPECT_FALSE(parse_header(nullptr, 1024).ok());
}

TEST(ParseHeader, RefusesWrongFields) {
  struct Row {
    const char* why;
    void (*spoil)(RawHeader&);
    const char* message;  // part of it
  };
  const Row rows[] = {
      {"another magic", [](RawHeader& h) { h.magic = "TR04"; },
       "found \"TR04\"; expected \"TR01\", \"TR02\" or \"TR03\""},
      {"no text", [](RawHeader& h) { h.magic = std::string("\x00\x01\xff\n", 4); }, "found \"\\x00\\x01\\xff\\n\""},
      {"metadata in the header", [](RawHeader& h) { h.metadata_offset = 31; }, "metadata offset: found 31"},
      {"metadata at 0", [](RawHeader& h) { h.metadata_offset = 0; }, "metadata offset: found 0"},
      {"metadata behind the blob", [](RawHeader& h) { h.metadata_offset = 1025; }, "a blob of 1024 bytes"},
      {"metadata offset 2^32-1", [](RawHeader& h) { h.metadata_offset = UINT32_MAX; }, "at offset 4294967295"},
      {"metadata past the blob", [](RawHeader& h) { h.metadata_size = 1024 - 31; }, "993 bytes at offset 32"},
      {"metadata over 1 MiB", [](RawHeader& h) { h.metadata_size = (1 << 20) + 1; }, "metadata size: found 1048577"},
      {"metadata size 2^32-1", [](RawHeader& h) { h.metadata_size = UINT32_MAX; }, "metadata size: found 4294967295"},
      {"metadata in the engine", [](RawHeader& h) { h.metadata_size = 113; }, "in front of the engine"},
      {"metadata behind the engine", [](RawHeader& h) { h.metadata_offset = 200; }, "in front of the engine"},
      {"unaligned engine", [](RawHeader& h) { h.engine_offset = 152; }, "engine offset: found 152"},
      {"engine offset 0", [](RawHeader& h) { h.engine_offset = 0; }, "in front of the engine"},
      {"engine behind the blob", [](RawHeader& h) { h.engine_offset = 1040; }, "a blob of 1024 bytes"},
      {"engine offset 2^32-16", [](RawHeader& h) { h.engine_offset = UINT32_MAX - 15; }, "at offset 4294967280"},
      {"no engine", [](RawHeader& h) { h.engine_size = 0; }, "engine size: found 0 bytes"},
      {"engine one byte past", [](RawHeader& h) { h.engine_size += 1; }, "881 bytes at offset 144"},
      {"engine 2^64-144: the sum is 0", [](RawHeader& h) { h.engine_size = UINT64_MAX - 143; }, "at offset 144"},
      {"engine 2^64-512", [](RawHeader& h) { h.engine_size = UINT64_MAX - 511; }, "18446744073709551104 bytes"},
      {"engine 2^64-1", [](RawHeader& h) { h.engine_size = UINT64_MAX; }, "18446744073709551615 bytes"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.why);
    RawHeader header = good();
    row.spoil(header);
    const auto result = parse(header);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.failure().code, ErrorCode::BadBlob);
    const std::string message = result.failure().message();
    EXPECT_NE(message.find(row.message), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace torchtrt_ws
