#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "blob/verification.h"
#include "cache/cache_folder.h"
#include "cache/cache_key.h"

namespace torchtrt_ws {

/// A plan with its weights, mapped from the cache. Move-only.
class CachedPlan {
 public:
  CachedPlan(CachedPlan&& other) noexcept;
  CachedPlan& operator=(CachedPlan&&) = delete;
  ~CachedPlan();

  [[nodiscard]] const uint8_t* data() const noexcept { return data_; }
  [[nodiscard]] uint64_t size() const noexcept { return size_; }  ///< Bytes.
  [[nodiscard]] uint32_t crc32c() const noexcept { return crc32c_; }
  [[nodiscard]] const std::string& sha256() const noexcept { return sha256_; }

 private:
  friend class RefitCacheFile;
  CachedPlan(void* mapping, uint64_t mapped, const uint8_t* data, uint32_t crc32c, std::string sha256);

  void* mapping_;
  uint64_t mapped_;
  const uint8_t* data_;
  uint64_t size_;
  uint32_t crc32c_;     // of what was written; compared by who reads it
  std::string sha256_;  // likewise
};

/// The plan that came of one without weights and its weights, as TensorRT serialized it, in a file of the cache folder.
///
/// The file is a page of header (`twsrft01`, then little-endian u32 length of the name, u32 CRC-32C of the plan, u64
/// size of the plan, u32 how its weights were compared (1: checksum, 2: digest), u32 CRC-32C of the page without this
/// field, the plan's SHA-256 in 64 hex digits, the file's own name, zeros) and the plan, to the end of the file.
/// Whatever differs is as if there were no file.
///
/// Written beside and renamed: who reads needs no lock; who writes holds one, and whoever finds it held leaves the
/// writing to the other.
class RefitCacheFile {
 public:
  /// `key`: of the plan without weights, and of these. Fails with NotSupported (CacheFolder::open()).
  static Result<RefitCacheFile> in(const std::string& folder, const CacheKey& key);

  [[nodiscard]] std::string path() const { return folder_.path() + "/" + name_; }

  /// The plan; its bytes are not compared yet. nullopt where there is no such file, or one whose header is damaged, or
  /// whose weights were compared less strictly than `verify` asks. Notes that it was used now. Fails with NotSupported
  /// for a file that breaks the folder's rules.
  [[nodiscard]] Result<std::optional<CachedPlan>> find(Verify verify) const;

  /// Writes `size` bytes of `plan`, whatever is there, and then evicts what is over the folder's limit. `verified`: how
  /// its weights were compared, and not Off. False: nothing was written, as another process is at it, or this one may
  /// not. Fails with NotSupported where it cannot be written.
  [[nodiscard]] Result<bool> write(const void* plan, uint64_t size, Verify verified) const;

  /// The file is not used again.
  void remove() const noexcept;

 private:
  RefitCacheFile(CacheFolder folder, std::string name) : folder_(std::move(folder)), name_(std::move(name)) {}

  CacheFolder folder_;
  std::string name_;
};

}  // namespace torchtrt_ws
