#pragma once

#include <cstdint>

namespace torchtrt_ws {

/// Whether all of [data, data + size) is mapped from files, without write permission: then dropping its pages loses
/// nothing. Reads /proc/self/maps; false when that cannot be read.
bool is_file_mapping(const void* data, uint64_t size) noexcept;

}  // namespace torchtrt_ws
