#pragma once

#include <string>

#include "cache/cache_key.h"
#include "engine/tensorrt/library.h"

namespace torchtrt_ws::tensorrt {

/// What a cache on disk is for: `plan`, 64 hex digits that tell it from others, read by `library` on `device`.
CacheKey device_key(std::string plan, const Library& library, int device);

}  // namespace torchtrt_ws::tensorrt
