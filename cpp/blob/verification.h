#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "blob/metadata.h"

namespace torchtrt_ws {

/// How an engine's bytes are compared with what its blob records of them: the load-time option `verify`.
enum class Verify {
  Checksum,  ///< CRC-32C: finds damage, at the speed of memory. The default.
  Digest,    ///< SHA-256: finds everything that differs.
  Off,       ///< Not at all.
};

/// "checksum", "digest" or "off"; nullopt for anything else.
[[nodiscard]] std::optional<Verify> parse_verify(const std::string& text);

/// Compares one engine's bytes with what its blob records. Pure.
class Verification {
 public:
  /// `subject` names the engine in messages.
  Verification(Verify verify, const Metadata& metadata, std::string subject);

  /// Whether there is something to compare.
  [[nodiscard]] bool compares() const noexcept { return crc32c_ || sha256_ || lacks_digest_; }

  /// What to tell the user when there is nothing to compare with, though it was not switched off; empty otherwise.
  [[nodiscard]] const std::string& note() const noexcept { return note_; }

  /// Reads the whole engine, from its start, and compares. `done(from, to)` is called behind each piece, in bytes.
  /// Fails with BadEngine for other bytes, and with BadBlob when a digest was asked for and none is recorded.
  [[nodiscard]] Status compare(const uint8_t* engine, uint64_t size,
                               const std::function<void(uint64_t from, uint64_t to)>& done = nullptr) const;

  /// Whether a checksum is all that compare() computes: then who reads the engine may do it on the way.
  [[nodiscard]] bool compares_checksum_only() const noexcept { return crc32c_.has_value(); }

  /// The same for a CRC-32C that was found over the engine's `size` bytes.
  [[nodiscard]] Status compare_checksum(uint32_t found, uint64_t size) const;

 private:
  [[nodiscard]] Status compare_checksum(const uint8_t* engine, uint64_t size,
                                        const std::function<void(uint64_t from, uint64_t to)>& done) const;
  [[nodiscard]] Status compare_digest(const uint8_t* engine, uint64_t size,
                                      const std::function<void(uint64_t from, uint64_t to)>& done) const;
  [[nodiscard]] Failure differs(const char* what, const std::string& found, const std::string& recorded,
                                uint64_t size) const;

  std::string subject_;
  std::optional<uint32_t> crc32c_;     // recorded, and to be compared
  std::optional<std::string> sha256_;  // likewise
  bool lacks_digest_ = false;
  std::string note_;
};

}  // namespace torchtrt_ws
