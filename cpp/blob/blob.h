#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "blob/header.h"
#include "blob/metadata.h"

namespace torchtrt_ws {

/// An engine blob, read and checked. `engine` points into the caller's buffer, which must outlive it.
struct Blob {
  Header header;
  Metadata metadata;
  const uint8_t* engine;
  uint64_t engine_size;  ///< Bytes, of all plans where there are several. 0: it is in a data file of the program, under
                         ///< `engine_key`.
  std::string engine_key;  ///< Empty unless `engine_size` is 0.
};

/// Reads the blob that a delegate gets as `processed`: TR01, TR02 or TR03, `size` bytes. Copies no engine bytes.
///
/// Errors: those of parse_header() and parse_metadata(); BadBlob also for aliased_io in a TR01 blob, which readers that
/// know no aliases would run wrongly, and for a TR03 blob that does not say where its weights are, or another that
/// does. TR02 without aliased_io is accepted.
[[nodiscard]] Result<Blob> read_blob(const void* data, std::size_t size);

}  // namespace torchtrt_ws
