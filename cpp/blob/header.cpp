#include "blob/header.h"

#include <utility>

#include "base/quote.h"

namespace torchtrt_ws {
namespace {

/// An unaligned little-endian integer, on any host.
template <typename T>
T read_le(const uint8_t* bytes) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value | static_cast<T>(T{bytes[i]} << (8 * i)));
  return value;
}

Failure bad(const char* part, std::string found, std::string expected) {
  return Failure{ErrorCode::BadBlob, std::string("engine blob: ") + part, std::move(found), std::move(expected),
                 "The file is damaged or truncated: save or copy it again"};
}

std::string span(uint64_t offset, uint64_t size) {
  return std::to_string(size) + " bytes at offset " + std::to_string(offset);
}

}  // namespace

Result<Header> parse_header(const void* data, std::size_t size) {
  if (data == nullptr || size < wire::kHeaderSize) {
    return bad("size", std::to_string(data == nullptr ? 0 : size) + " bytes",
               "at least " + std::to_string(wire::kHeaderSize) + ", the size of its header");
  }
  const auto* bytes = static_cast<const uint8_t*>(data);
  const std::string_view magic(static_cast<const char*>(data), wire::kMagic.size());
  const bool stripped = magic == wire::kMagicStripped;
  const bool aliased = stripped || magic == wire::kMagicAliased;
  if (!aliased && magic != wire::kMagic) {
    Failure failure = bad("magic", in_quotes(magic), wire::either_magic());
    failure.next_step = "Save the program with torchtrt-ws or Torch-TensorRT (output_format=\"executorch\")";
    return failure;
  }
  const Header header{aliased,
                      stripped,
                      read_le<uint32_t>(bytes + wire::kMetadataOffsetField),
                      read_le<uint32_t>(bytes + wire::kMetadataSizeField),
                      read_le<uint32_t>(bytes + wire::kEngineOffsetField),
                      read_le<uint64_t>(bytes + wire::kEngineSizeField)};
  const std::string blob_size = "a blob of " + std::to_string(size) + " bytes";
  if (header.metadata_offset < wire::kHeaderSize) {
    return bad("metadata offset", std::to_string(header.metadata_offset),
               std::to_string(wire::kHeaderSize) + " or more, behind the header");
  }
  const std::size_t most = stripped ? wire::kMaxStrippedMetadataSize : wire::kMaxMetadataSize;
  if (header.metadata_size > most) {
    return bad("metadata size", std::to_string(header.metadata_size) + " bytes", "at most " + std::to_string(most));
  }
  if (!wire::fits(header.metadata_offset, header.metadata_size, size)) {
    return bad("metadata", span(header.metadata_offset, header.metadata_size), "metadata within " + blob_size);
  }
  if (header.engine_offset % wire::kEngineAlignment != 0) {
    return bad("engine offset", std::to_string(header.engine_offset),
               "a multiple of " + std::to_string(wire::kEngineAlignment));
  }
  if (!wire::fits(header.metadata_offset, header.metadata_size, header.engine_offset)) {
    return bad("metadata", span(header.metadata_offset, header.metadata_size),
               "metadata in front of the engine, which is at offset " + std::to_string(header.engine_offset));
  }
  if (header.stripped && header.engine_size == 0) return bad("engine size", "0 bytes", "an engine");
  if (!wire::fits(header.engine_offset, header.engine_size, size)) {
    return bad("engine", span(header.engine_offset, header.engine_size), "an engine within " + blob_size);
  }
  return header;
}

}  // namespace torchtrt_ws
