#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "blob/metadata.h"
#include "digest/crc32c.h"
#include "digest/sha256.h"

namespace torchtrt_ws {

/// How an engine's bytes are compared with what its blob records of them: the load-time option `verify`.
enum class Verify {
  Checksum,  ///< CRC-32C: finds damage, at the speed of memory. The default.
  Digest,    ///< SHA-256: finds everything that differs.
  Off,       ///< Not at all.
};

/// "checksum", "digest" or "off"; nullopt for anything else.
[[nodiscard]] std::optional<Verify> parse_verify(const std::string& text);

/// Compares one engine's bytes with what its blob records, in the pass that reads them anyway. Pure.
class Verification {
 public:
  /// `subject` names the engine in messages.
  Verification(Verify verify, const Metadata& metadata, std::string subject);

  /// What to tell the user when there is nothing to compare with, though it was not switched off; empty otherwise.
  [[nodiscard]] const std::string& note() const noexcept { return note_; }

  /// Takes `size` bytes that lie at `offset` in the engine and were just read. Bytes in order are taken as they come;
  /// any others are left to finish().
  void take(uint64_t offset, const void* data, uint64_t size) noexcept;

  /// Takes what take() did not, from the whole engine, and compares.
  /// Fails with BadEngine for other bytes, and with BadBlob when a digest was asked for and none is recorded.
  [[nodiscard]] Status finish(const uint8_t* engine, uint64_t size);

 private:
  [[nodiscard]] Failure differs(const char* what, const std::string& found, const std::string& recorded,
                                uint64_t size) const;

  std::string subject_;
  std::optional<uint32_t> crc32c_;     // recorded, and to be compared
  std::optional<std::string> sha256_;  // likewise
  bool lacks_digest_ = false;
  std::string note_;
  uint64_t taken_ = 0;  // bytes from the start of the engine
  Crc32c crc_;
  Sha256 sha_;
};

}  // namespace torchtrt_ws
