#pragma once

#include <cstdint>
#include <string>

#include "blob/metadata.h"
#include "blob/verification.h"

namespace torchtrt_ws::tensorrt {

/// 64 hexadecimal digits that tell a plan from others, for the name of what is prepared for it. Takes no time that
/// counts beside a load.
///
/// It is the SHA-256 that the file records, where the load compares the plan's bytes with the file's checksum or
/// digest. Else a SHA-256 of samples: the plan's size, its first and its last MiB, and 4096 bytes at each of 256 places
/// at equal distances. Plans that are the same there, and no more, get the same digits. For kernels that is no harm: a
/// runtime cache may serve several engines, and what is not in it is compiled.
std::string plan_digest(const uint8_t* plan, uint64_t size, const Metadata& metadata, Verify verify);

}  // namespace torchtrt_ws::tensorrt
