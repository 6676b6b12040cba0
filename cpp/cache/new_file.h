#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "base/descriptor.h"
#include "base/result.h"
#include "cache/cache_folder.h"

namespace torchtrt_ws {

/// A file of the cache that nobody sees until it is whole: written under a temporary name, and then renamed. Gone when
/// it is destroyed before that. Move-only. Precondition: the caller holds the lock of its name.
class NewFile {
 public:
  /// Fails with NotSupported where none can be made.
  [[nodiscard]] static Result<NewFile> begin(const CacheFolder& folder, const std::string& name);
  NewFile(NewFile&& other) noexcept
      : path_(std::move(other.path_)),
        temporary_(std::exchange(other.temporary_, {})),
        file_(std::move(other.file_)),
        written_(other.written_) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  /// Behind what was written. Fails with NotSupported: a full disk.
  [[nodiscard]] Status append(const void* data, size_t size);

  /// At `offset`, over what was written there.
  [[nodiscard]] Status overwrite(uint64_t offset, const void* data, size_t size);

  /// The file has its name now. It is not synchronized with the disk: what a power failure leaves behind must be told
  /// from what was written by what is in it.
  [[nodiscard]] Status finish();

 private:
  NewFile(std::string path, std::string temporary, Descriptor file)
      : path_(std::move(path)), temporary_(std::move(temporary)), file_(std::move(file)) {}

  std::string path_;
  std::string temporary_;  // empty: moved from, or finished
  Descriptor file_;
  uint64_t written_ = 0;
};

}  // namespace torchtrt_ws
