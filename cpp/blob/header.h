#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace torchtrt_ws {

namespace wire {  // the table of README "Wire format", in code; little-endian

inline constexpr std::string_view kMagic = "TR01";
inline constexpr std::string_view kMagicAliased = "TR02";  // written when aliased_io is not empty
// Written when the engine has no weights, with or without aliased_io: who reads only whole engines stops at it.
inline constexpr std::string_view kMagicStripped = "TR03";
static_assert(kMagic.size() == kMagicAliased.size() && kMagic.size() == kMagicStripped.size());

inline constexpr std::size_t kMetadataOffsetField = kMagic.size();                          // u32
inline constexpr std::size_t kMetadataSizeField = kMetadataOffsetField + sizeof(uint32_t);  // u32
inline constexpr std::size_t kEngineOffsetField = kMetadataSizeField + sizeof(uint32_t);    // u32
inline constexpr std::size_t kEngineSizeField = kEngineOffsetField + sizeof(uint32_t);      // u64
inline constexpr std::size_t kReservedField = kEngineSizeField + sizeof(uint64_t);          // 8 bytes, not read
inline constexpr std::size_t kHeaderSize = kReservedField + 8;
static_assert(kHeaderSize == 32);

inline constexpr std::size_t kEngineAlignment = 16;
inline constexpr std::size_t kMaxMetadataSize = std::size_t{1} << 20;  // bytes of JSON
// The same of a TR03 blob: kMaxBindings weights of 1 KiB each. A decoder of 32 layers has some 300, of 0.3 KiB.
inline constexpr std::size_t kMaxStrippedMetadataSize = std::size_t{4} << 20;
inline constexpr std::size_t kMaxBindings = 4096;  // of a list of tensors in the metadata, weights among them
inline constexpr std::size_t kMaxFileName = 255;   // bytes, of the companion's name: Linux's NAME_MAX
inline constexpr std::size_t kMaxJsonDepth = 32;   // the format itself needs 5
inline constexpr std::size_t kMaxRank = 8;         // TensorRT's Dims::MAX_DIMS (NvInferRuntimeBase.h)
inline constexpr std::size_t kMaxVariants = 64;    // plans of one engine
inline constexpr int kSchemaVersion = 3;           // of the `torchtrt_ws` key; higher is refused
inline constexpr int kVariantsSchema = 3;          // of engines of several plans, whose bytes together are no plan
inline constexpr int kStrippedSchema = 2;          // of engines without their weights
inline constexpr int kWholeSchema = 1;             // of engines with their weights: older readers take these

/// True if [offset, offset + size) lies within `total` bytes. Subtracts: `size` is hostile, and a sum wraps.
constexpr bool fits(uint64_t offset, uint64_t size, uint64_t total) noexcept {
  return offset <= total && size <= total - offset;
}
static_assert(fits(0, 0, 0) && fits(512, 512, 1024) && fits(1024, 0, 1024));
static_assert(!fits(512, 513, 1024) && !fits(1025, 0, 1024));
static_assert(!fits(512, UINT64_MAX - 511, 1024));  // engine_size = 2^64 - 512: the sum is 0
static_assert(!fits(UINT64_MAX, 1, 1024) && !fits(UINT64_MAX, UINT64_MAX, UINT64_MAX));

/// What a blob starts with, for messages: "TR01", "TR02" or "TR03", each in quotes.
inline std::string either_magic() {
  return '"' + std::string(kMagic) + "\", \"" + std::string(kMagicAliased) + "\" or \"" + std::string(kMagicStripped) +
         '"';
}

}  // namespace wire

/// The first 32 bytes of an engine blob, checked against the size of the whole blob. Offsets count from its start.
struct Header {
  bool aliased;   ///< Magic TR02 or TR03: the metadata may hold aliased_io.
  bool stripped;  ///< Magic TR03: the engine has no weights, and the metadata says where they are.
  uint32_t metadata_offset;
  uint32_t metadata_size;
  uint32_t engine_offset;  ///< A multiple of 16.
  uint64_t engine_size;    ///< 0: the engine is in a data file of the program, and the metadata names it.
};

/// Reads and checks the header of a blob of `size` bytes; `data` may be unaligned.
///
/// On success the metadata lies behind the header and in front of the engine, both within the blob; the metadata has at
/// most 1 MiB (TR03: 4 MiB). TR03 has an engine of 1 byte or more. Bytes behind the engine are ignored.
/// Errors: BadBlob.
[[nodiscard]] Result<Header> parse_header(const void* data, std::size_t size);

}  // namespace torchtrt_ws
