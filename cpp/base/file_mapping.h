#pragma once

#include <cstdint>

namespace torchtrt_ws {

/// Whether all of [data, data + size) is mapped from files, without write permission: then dropping its pages loses
/// nothing. Reads /proc/self/maps; false when that cannot be read.
bool is_file_mapping(const void* data, uint64_t size) noexcept;

/// Drops the pages that [from, to) of a file mapping's `data` ends in, to be read from the file again when they are
/// asked for. A page that straddles two pieces goes with the second; the first and the last page of `data` are shared
/// with other parts of the file and stay. Another thread may read them meanwhile.
void drop_pages(const void* data, uint64_t from, uint64_t to) noexcept;

/// Asks the system to begin reading [from, to) of a file mapping's `data` from the disk, where it has to.
void read_ahead(const void* data, uint64_t from, uint64_t to) noexcept;

}  // namespace torchtrt_ws
