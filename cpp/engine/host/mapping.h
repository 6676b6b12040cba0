#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace torchtrt_ws::host {

/// A range of this process's address space: page-aligned start, bytes.
struct Range {
  uintptr_t start = 0;
  size_t size = 0;
  bool operator==(const Range& other) const { return start == other.start && size == other.size; }
};

size_t page_size();

/// The mappings of one file in this process, in address order. Source: /proc/self/maps, by inode and path: its device
/// numbers are not those of stat() on every file system (btrfs, overlayfs).
std::vector<Range> mappings_of(const std::string& path, ino_t inode);

/// Bytes of `range` that are resident in this process: pages in its page table. Source: /proc/self/pagemap, bit 63.
/// The page cache does not count, which is why this is not mincore(2).
size_t resident_bytes(const Range& range);

/// Bytes the system can give without swapping, for this process: MemAvailable, within the limit of its cgroup.
int64_t available_memory();

}  // namespace torchtrt_ws::host
