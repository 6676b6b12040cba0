#pragma once

#include <string>

#include "base/descriptor.h"
#include "base/result.h"

namespace torchtrt_ws {

/// The folder of what loads prepare, for those that come later: a host engine's packed weights (`.packed`), the kernels
/// that TensorRT-RTX compiled for a plan (`.runtime`), a plan with the weights it was saved without (`.refit`). It is
/// the one that was chosen, else TORCHTRT_WS_CACHE, else $XDG_CACHE_HOME/torchtrt_ws, else ~/.cache/torchtrt_ws.
///
/// What is in it decides what models compute, so it has rules, and what breaks them is not used: the folder is made
/// with mode 0700; it and its files belong to this user or root, and nobody else may write them; files are regular,
/// have one name and are opened without following links. One that root made and only root may write serves others
/// read-only (an image with its cache baked in).
class CacheFolder {
 public:
  /// Finds or makes the folder; `chosen` is empty for the default one. Fails with NotSupported: there is none, or it
  /// breaks the rules.
  static Result<CacheFolder> open(const std::string& chosen = {});

  const std::string& path() const { return path_; }
  bool is_writable() const { return writable_; }

  /// Opens a file of the folder for reading, and for writing where this process may. Fails with NotSupported when it
  /// breaks the rules; no descriptor: there is no such file.
  Result<Descriptor> open_file(const std::string& name) const;

  /// Waits for the lock `name`.lock, at most `seconds`. Fails with NotSupported: somebody else holds it that long.
  Result<Descriptor> lock(const std::string& name, int seconds = 60) const;

  /// Removes what writers of `name` left when they were killed. Precondition: the caller holds the lock.
  void remove_leftovers(const std::string& name) const;

  /// Removes the least recently used entries, of all kinds, until the files take at most TORCHTRT_WS_CACHE_LIMIT bytes
  /// (16 GiB when that says nothing). `kept` stays. A file that is in use may go: who has it mapped keeps it.
  void evict(const std::string& kept) const;

 private:
  CacheFolder(std::string path, bool writable) : path_(std::move(path)), writable_(writable) {}

  std::string path_;
  bool writable_;
};

/// What is wrong with the cache, and what to do.
Failure unusable_cache(const std::string& path, const std::string& why);

}  // namespace torchtrt_ws
