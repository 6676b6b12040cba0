#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "blob/header.h"

namespace torchtrt_ws::testing {

/// The fields of a header as raw numbers, so that a test can write any wrong one.
struct RawHeader {
  std::string magic = std::string(wire::kMagic);
  uint32_t metadata_offset = wire::kHeaderSize;
  uint32_t metadata_size = 0;
  uint32_t engine_offset = wire::kHeaderSize;
  uint64_t engine_size = 0;
};

inline std::string encode(const RawHeader& header) {
  std::string bytes = header.magic;
  auto put = [&bytes](uint64_t value, int width) {
    for (int i = 0; i < width; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xff);
  };
  put(header.metadata_offset, 4);
  put(header.metadata_size, 4);
  put(header.engine_offset, 4);
  put(header.engine_size, 8);
  put(1, 8);
  return bytes;
}

/// A whole blob: header, JSON, zeros up to a multiple of 16, engine.
inline std::string make_blob(std::string_view json, std::string_view engine, bool aliased = false) {
  RawHeader header;
  if (aliased) header.magic = wire::kMagicAliased;
  header.metadata_size = static_cast<uint32_t>(json.size());
  const std::size_t end = wire::kHeaderSize + json.size();
  header.engine_offset =
      static_cast<uint32_t>((end + wire::kEngineAlignment - 1) / wire::kEngineAlignment * wire::kEngineAlignment);
  header.engine_size = engine.size();
  std::string blob = encode(header) + std::string(json);
  blob.resize(header.engine_offset, '\0');
  return blob + std::string(engine);
}

}  // namespace torchtrt_ws::testing
