#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace torchtrt_ws {

/// Where in a file bytes lie that are mapped from it, and what tells that the file is still the same.
struct FileRegion {
  std::string path;
  uint64_t device;  ///< As stat(2) says, and so the next four.
  uint64_t inode;
  uint64_t file_size;
  int64_t modified_ns;  ///< Contents.
  int64_t changed_ns;   ///< Contents or owner: no program can set this one back.
  uint64_t offset;      ///< Of the bytes in the file.
  uint64_t size;        ///< Of the bytes.
};

/// Whether both are the same bytes of the same file, which nobody changed in between.
[[nodiscard]] bool operator==(const FileRegion& a, const FileRegion& b) noexcept;

/// The region of one file that [data, data + size) is mapped from; sealed memory that is a file (memfd_create(2)) is
/// one while it is open. nullopt where it is other memory, or where the file behind the mapping has gone or is another
/// one by now. Reads /proc/self/maps.
[[nodiscard]] std::optional<FileRegion> file_region_of(const void* data, uint64_t size);

/// The same for several, in their order, with one look at /proc/self/maps.
[[nodiscard]] std::vector<std::optional<FileRegion>> file_regions_of(
    const std::vector<std::pair<const void*, uint64_t>>& spans);

/// Its bytes' SHA-256 in lower-case hexadecimal digits; nullopt where the file has changed or cannot be read.
[[nodiscard]] std::optional<std::string> sha256_of(const FileRegion& region);

}  // namespace torchtrt_ws
