#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file_region.h"
#include "engine/weights.h"

namespace torchtrt_ws::tensorrt {

/// The weights that an engine was refitted with when it was loaded, where they are mapped from a file: they take
/// address space and no memory, and tell what to put back.
class FileWeights {
 public:
  /// Those of `listed` that are mapped; others are given back to `source`. Null where none is.
  static std::unique_ptr<FileWeights> keep(const SeparateWeights& listed, const WeightsSource& source);

  /// The bytes of a weight; null where they are not known, or the file has changed since it was loaded.
  const void* find(const std::string& name) const;

 private:
  struct Mapped {
    Payload bytes;
    FileRegion region;
  };
  std::unordered_map<std::string, Mapped> mapped_;
};

}  // namespace torchtrt_ws::tensorrt
