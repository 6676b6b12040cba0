#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>

#include "base/result.h"

namespace torchtrt_ws::host {

/// A file descriptor that closes itself; -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int file) : file_(file) {}
  Descriptor(Descriptor&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~Descriptor() {
    if (file_ >= 0) close(file_);
  }
  int get() const { return file_; }

 private:
  int file_;
};

/// The file that holds XNNPACK's packed weights of one engine, in the cache folder.
///
/// It is written once, under a temporary name, and renamed when it is whole; after that nobody writes it. Its name has
/// the engine's digest, the ExecuTorch version and a fingerprint of the processor, since packing depends on all three.
/// A lock file beside it lets one process (or thread) at a time build or open it. XNNPACK itself would lock the file
/// for as long as it is loaded, and a second process would then pack into its own heap: open() therefore takes that
/// lock back (source: executorch 1.5.1, backends/xnnpack/runtime/XNNWeightsCache.cpp).
class PackedFile {
 public:
  /// Loads the program with `path` as XNNPACK's `packed_cache_path`. The path is short and its own for each call, so
  /// that two engines of one digest get two mappings and two budgets.
  using Load = std::function<Status(const std::string& path)>;

  /// Builds the file when there is none (one call of `load`, whose program may be dropped at once by `unload`), then
  /// loads for good. Fails with what `load` fails with, or with NotSupported when the cache folder cannot be used or
  /// the file is not as this version of XNNPACK writes it; then `load` was not called for good.
  static Result<PackedFile> open(const std::string& sha256, const Load& load, const std::function<void()>& unload);

  dev_t device() const { return device_; }
  ino_t inode() const { return inode_; }

  /// Bytes of packed weights in the file, page-rounded; 0 when the program has none.
  int64_t weight_bytes() const { return weight_bytes_; }

 private:
  PackedFile() = default;

  Descriptor file_{-1};  // kept open: /proc/self/fd/<number> is the path that XNNPACK knows
  dev_t device_ = 0;
  ino_t inode_ = 0;
  int64_t weight_bytes_ = 0;
};

/// TORCHTRT_WS_CACHE, else $XDG_CACHE_HOME/torchtrt_ws, else ~/.cache/torchtrt_ws. Empty when there is none of these.
std::string cache_folder();

}  // namespace torchtrt_ws::host
