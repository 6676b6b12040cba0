#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace torchtrt_ws::host {

/// A range of this process's address space: page-aligned start, bytes.
struct Range {
  uintptr_t start = 0;
  size_t size = 0;
  bool operator==(const Range& other) const { return start == other.start && size == other.size; }
};

size_t page_size();

/// The mappings of an open file in this process, in address order; none when /proc/self/maps cannot be read. A page of
/// the file is mapped for a moment to learn what the file is called there: device and inode are not those of stat() on
/// every file system (btrfs, overlayfs).
std::vector<Range> mappings_of(int file);

/// The ranges in `maps`, a text as /proc/self/maps has it, that map the same file as the range with the address
/// `probe`, and not that one: device, inode and path read alike. Two files of one inode differ in their path (btrfs
/// gives its subvolumes one device).
std::vector<Range> mappings_like(std::string_view maps, uintptr_t probe);

/// Bytes of `range` that are resident in this process: pages in its page table. Source: /proc/self/pagemap, bit 63.
/// The page cache does not count, which is why this is not mincore(2).
size_t resident_bytes(const Range& range);

/// Bytes the system can give without swapping, for this process: MemAvailable, within the limit of its cgroup.
int64_t available_memory();

}  // namespace torchtrt_ws::host
