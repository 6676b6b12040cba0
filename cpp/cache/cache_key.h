#pragma once

#include <string>

namespace torchtrt_ws {

/// What something in the cache was made from and made for, on a device.
struct CacheKey {
  std::string plan;     ///< 64 hex digits that tell the plan from others (engine/tensorrt/plan_digest.h).
  std::string library;  ///< "rtx1.6.1"
  std::string device;   ///< As CUDA names it: "NVIDIA H100 80GB HBM3".
  int major;            ///< Of the device's compute capability, and so the next.
  int minor;
  std::string weights = {};  ///< 64 hex digits of those that the plan was given; empty: it had them.
};

/// The file's name: "<plan>[-<weights>]-<library>-sm<major><minor>-<16 hex digits of the device's name><suffix>".
std::string cache_file_name(const CacheKey& key, const std::string& suffix);

}  // namespace torchtrt_ws
