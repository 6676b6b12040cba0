#include "engine/tensorrt/plan_digest.h"

#include <algorithm>
#include <array>

#include "digest/sha256.h"

namespace torchtrt_ws::tensorrt {
namespace {

constexpr uint64_t kEnd = uint64_t{1} << 20;  // bytes
constexpr uint64_t kSample = 4096;            // bytes
constexpr uint64_t kSamples = 256;

std::string sampled(const uint8_t* plan, uint64_t size) {
  Sha256 sha;
  std::array<uint8_t, 8> written{};
  for (size_t i = 0; i < written.size(); ++i) written[i] = static_cast<uint8_t>(size >> (8 * i));
  sha.update(written.data(), written.size());
  const uint64_t end = std::min(size, kEnd);
  sha.update(plan, end);
  sha.update(plan + (size - end), end);
  const uint64_t distance = size / kSamples;
  for (uint64_t i = 0; i < kSamples; ++i) {
    const uint64_t from = i * distance;
    sha.update(plan + from, std::min(kSample, size - from));
  }
  return sha.finish_hex();
}

}  // namespace

std::string plan_digest(const uint8_t* plan, uint64_t size, const Metadata& metadata, Verify verify) {
  const bool vouched =
      metadata.own && (verify == Verify::Digest || (verify == Verify::Checksum && metadata.own->crc32c));
  return vouched ? metadata.own->sha256 : sampled(plan, size);
}

}  // namespace torchtrt_ws::tensorrt
