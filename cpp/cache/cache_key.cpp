#include "cache/cache_key.h"

#include "digest/sha256.h"

namespace torchtrt_ws {

std::string cache_file_name(const CacheKey& key, const std::string& suffix) {
  constexpr size_t kDigits = 16;
  const std::string weights = key.weights.empty() ? "" : "-" + key.weights;
  return key.plan + weights + "-" + key.library + "-sm" + std::to_string(key.major) + std::to_string(key.minor) + "-" +
         sha256_hex(key.device.data(), key.device.size()).substr(0, kDigits) + suffix;
}

}  // namespace torchtrt_ws
