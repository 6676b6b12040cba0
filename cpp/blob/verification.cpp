#include "blob/verification.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "digest/crc32c.h"
#include "digest/sha256.h"

namespace torchtrt_ws {
namespace {

constexpr uint64_t kPiece = uint64_t{1} << 20;  // bytes

std::string hex(uint32_t value) {
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", value);
  return text.data();
}

}  // namespace

std::optional<Verify> parse_verify(const std::string& text) {
  if (text == "checksum") return Verify::Checksum;
  if (text == "digest") return Verify::Digest;
  if (text == "off") return Verify::Off;
  return std::nullopt;
}

Verification::Verification(Verify verify, const Metadata& metadata, std::string subject)
    : subject_(std::move(subject)) {
  if (verify == Verify::Off) return;
  if (verify == Verify::Digest) {
    if (metadata.own) sha256_ = metadata.own->sha256;
    lacks_digest_ = !metadata.own;
    return;
  }
  if (metadata.own) crc32c_ = metadata.own->crc32c;
  if (!crc32c_) note_ = subject_ + " is not verified: the file records no checksum. `torchtrt-ws annotate` adds one.";
}

Status Verification::compare(const uint8_t* engine, uint64_t size,
                             const std::function<void(uint64_t from, uint64_t to)>& done) const {
  if (lacks_digest_) {
    return Failure{ErrorCode::BadBlob, subject_, "a file that records no digest of it", "a SHA-256, for verify=digest",
                   "Save it with torchtrt-ws, or load it with verify=checksum or verify=off"};
  }
  if (crc32c_) return compare_checksum(engine, size, done);
  return sha256_ ? compare_digest(engine, size, done) : ok_status();
}

Status Verification::compare_checksum(const uint8_t* engine, uint64_t size,
                                      const std::function<void(uint64_t from, uint64_t to)>& done) const {
  Crc32c crc;
  for (uint64_t from = 0; from < size; from += kPiece) {
    const uint64_t to = std::min(size, from + kPiece);
    crc.update(engine + from, to - from);
    if (done) done(from, to);
  }
  return compare_checksum(crc.value(), size);
}

Status Verification::compare_checksum(uint32_t found, uint64_t size) const {
  if (!crc32c_ || found == *crc32c_) return ok_status();
  return differs("CRC-32C", hex(found), hex(*crc32c_), size);
}

Status Verification::compare_digest(const uint8_t* engine, uint64_t size,
                                    const std::function<void(uint64_t from, uint64_t to)>& done) const {
  Sha256 sha;
  for (uint64_t from = 0; from < size; from += kPiece) {
    const uint64_t to = std::min(size, from + kPiece);
    sha.update(engine + from, to - from);
    if (done) done(from, to);
  }
  const std::string found = sha.finish_hex();
  return found == *sha256_ ? ok_status() : differs("SHA-256", found, *sha256_, size);
}

Failure Verification::differs(const char* what, const std::string& found, const std::string& recorded,
                              uint64_t size) const {
  return {ErrorCode::BadEngine, subject_,
          std::string(what) + " " + found + " over its " + std::to_string(size) + " bytes",
          recorded + ", as the file records", "The file is damaged: copy it or save it again"};
}

}  // namespace torchtrt_ws
