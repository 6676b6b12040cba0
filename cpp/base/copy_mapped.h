#pragma once

#include <cstdint>
#include <functional>

namespace torchtrt_ws {

/// Copies [from, to) of `data` to `destination`: what is large with several threads, in pieces that begin where pages
/// do. Of a file mapping (`file_backed`, is_file_mapping()) the disk is asked for what comes 64 MiB later, and pages
/// that were read are given back at once, so that file and copy are not in memory together.
///
/// `copied(from, to)` is called behind each piece, in the thread that copied it and before its pages go; it does not
/// throw.
void copy_mapped(const uint8_t* data, uint64_t from, uint64_t to, char* destination, bool file_backed,
                 const std::function<void(uint64_t from, uint64_t to)>& copied);

}  // namespace torchtrt_ws
