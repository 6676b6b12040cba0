#pragma once

#include <functional>
#include <string>

#include "base/descriptor.h"
#include "base/result.h"
#include "cache/cache_folder.h"

namespace torchtrt_ws::host {

/// The engine whose weights a packed file holds.
struct PackedEngine {
  std::string sha256;               // 64 hex digits: what its file says
  std::function<Status()> confirm;  // computes the digest, and fails unless it is that one
  int64_t bytes;                    // of the engine
  int64_t recorded_weights;         // bytes that XNNPACK was given at save; 0: none, or not known
};

/// The file that holds XNNPACK's packed weights of one engine, in the cache folder (cache_folder.h).
///
/// It is written once, under a temporary name, and renamed when it is whole; after that nobody writes it. Its name has
/// the engine's digest, the ExecuTorch version and a fingerprint of the processor, since packing depends on all three;
/// a file beside it (`.sum`) has its size and CRC-32C, which open() compares. Room for it is reserved before XNNPACK
/// maps it: a full disk would end the process there. A lock file lets one process (or thread) at a time build or open
/// it. XNNPACK itself would lock the file for as long as it is loaded, and a second process would then pack into its
/// own heap: open() therefore takes that lock back (source: executorch 1.5.1,
/// backends/xnnpack/runtime/XNNWeightsCache.cpp).
class PackedFile {
 public:
  /// Loads with `path` as XNNPACK's `packed_cache_path`. The path is short and its own for each call, so that two
  /// programs of one digest get two mappings and two budgets.
  using Load = std::function<Status(const std::string& path)>;

  /// Builds the file when there is none, then loads for good. Building confirms the digest first: no file can bring its
  /// weights to another model, by mistake or not. Then it calls `pack`, which loads all methods of the program and
  /// drops them at once. Fails with what `pack` or `load` fails with, or with NotSupported when the cache folder cannot
  /// be used, has no room, or holds a file that is not as this version of XNNPACK writes it; then `load` was not
  /// called.
  static Result<PackedFile> open(const PackedEngine& engine, const Load& pack, const Load& load);

  /// The file's name in the cache folder, for an engine of this digest.
  static std::string name_of(const std::string& sha256);

  /// Bytes of room that building the file takes for an engine of `engine_bytes`: packing pads, twice is enough.
  static int64_t room_to_build(int64_t engine_bytes);

  /// The path that `load` was called with: who loads with it again, while a program lives, gets the same mapping.
  std::string loading_path() const;

  /// What open() does with XNNPACK's lock, after another load with that path.
  void take_back_lock() const;

  /// Where the file lies, and the descriptor that it is open under; -1 when it has no weights.
  const std::string& path() const { return path_; }
  int descriptor() const { return file_.get(); }

  /// Bytes of packed weights in the file, page-rounded; 0 when the program has none.
  int64_t weight_bytes() const { return weight_bytes_; }

  /// Whether open() had to write it.
  bool was_built() const { return was_built_; }

 private:
  PackedFile() = default;

  Descriptor file_{-1};  // kept open: /proc/self/fd/<number> is the path that XNNPACK knows
  std::string path_;
  int64_t weight_bytes_ = 0;
  bool was_built_ = false;
};

}  // namespace torchtrt_ws::host
