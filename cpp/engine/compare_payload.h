#pragma once

#include "base/file_mapping.h"
#include "base/read_ahead.h"
#include "base/result.h"
#include "blob/verification.h"

namespace torchtrt_ws {

/// Verification::compare(); of a file mapping, pages go when they were read. Comparing would else leave the whole
/// engine in memory beside its weights.
inline Status compare_payload(const Verification& verification, const uint8_t* engine, uint64_t size) {
  if (!is_file_mapping(engine, size)) return verification.compare(engine, size);
  const ReadAhead ahead(engine, 0, size);
  return verification.compare(engine, size, [&ahead, engine](uint64_t from, uint64_t to) {
    ahead.before(from, to);
    drop_pages(engine, from, to);
  });
}

}  // namespace torchtrt_ws
