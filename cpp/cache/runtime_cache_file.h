#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cache/cache_folder.h"
#include "cache/cache_key.h"

namespace torchtrt_ws {

/// "<plan>-<library>-sm<major><minor>-<16 hex digits of the device's name>.runtime": what the kernels in it were
/// compiled for.
std::string runtime_cache_name(const CacheKey& key);

/// A runtime's own cache of compiled kernels for one plan on one device, in a file of the cache folder.
///
/// The runtime believes what it is given, so it gets what was written or nothing: the file begins with a header
/// (`twsrtc01`, then little-endian u32 length of the name, u32 CRC-32C of all that follows the header, u64 length of
/// the cache), its own name, so that a file which was renamed is none, and then the cache, to the end of the file.
/// Whatever differs is as if there were no file, and is written again.
///
/// It is written under a temporary name and renamed, so that who reads it needs no lock; who writes holds one, and
/// whoever finds it held leaves the writing to the other. It is not synchronized with the disk: what a power failure
/// leaves behind has another checksum.
class RuntimeCacheFile {
 public:
  /// `folder`: where; empty for the default one. Fails with NotSupported (CacheFolder::open()).
  static Result<RuntimeCacheFile> in(const std::string& folder, const CacheKey& key);

  /// Where it is, whether it is there or not.
  std::string path() const { return folder_.path() + "/" + name_; }

  /// What was written; empty where there is no file, or a damaged one. Notes that it was used now. Fails with
  /// NotSupported for a file that breaks the folder's rules.
  Result<std::vector<uint8_t>> read() const;

  /// Writes the file, unless there is one already with as many bytes or more: of two processes that compiled different
  /// kernels the one with more is kept. `replace`: whatever is there. Then evicts what is over the folder's limit.
  /// False: nothing was written, for that reason, because another process is at it, or this one may not. Fails with
  /// NotSupported where it cannot be written.
  Result<bool> write(const void* data, size_t size, bool replace) const;

 private:
  RuntimeCacheFile(CacheFolder folder, std::string name) : folder_(std::move(folder)), name_(std::move(name)) {}

  CacheFolder folder_;
  std::string name_;
};

}  // namespace torchtrt_ws
