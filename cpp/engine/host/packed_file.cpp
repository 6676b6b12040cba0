#include "engine/host/packed_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "engine/host/mapping.h"

namespace torchtrt_ws::host {
namespace {

Failure unusable(const std::string& path, const std::string& why) {
  return {ErrorCode::NotSupported, path, why, "a folder this process can write",
          "Set TORCHTRT_WS_CACHE to one; until then the engine runs with all weights on the heap"};
}

uint64_t fnv1a(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

/// XNNPACK picks its micro-kernels, and with them the packing, by what the processor can do.
std::string processor_fingerprint() {
  std::ifstream file("/proc/cpuinfo");
  std::string line, facts;
  while (std::getline(file, line) && !line.empty()) {  // the first processor's paragraph
    for (const char* key : {"model name", "model\t", "flags", "Features", "CPU part", "CPU implementer"}) {
      if (line.rfind(key, 0) == 0) facts += line;
    }
  }
  std::array<char, 17> hex{};
  std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(fnv1a(facts)));
  return hex.data();
}

// The end of a packed file: u64 start of the index, u32 entries, u32 magic, u32 version. An index entry: u32 length of
// the name, the name, u64 offset, u64 size, u32 seed. Source: XNNWeightsCache.cpp, save_packed_index(),
// executorch 1.5.1.
constexpr size_t kFooterSize = 20;
constexpr uint32_t kMagic = 0x58505743;
constexpr uint32_t kVersion = 2;

template <typename T>
T read_le(const char* data) {
  T value;
  std::memcpy(&value, data, sizeof(T));
  return value;
}

/// Start of the index, if XNNPACK would take the file as it is. It would truncate one that it does not take, under
/// processes that have it mapped; so ask first.
Result<int64_t> check_packed(int file, const std::string& path) {
  const auto damaged = [&path] {
    return Failure{ErrorCode::NotSupported, path, "no packed weights as executorch 1.5.1 writes them",
                   "a file of this cache", "It will be written again"};
  };
  struct stat info{};
  if (fstat(file, &info) != 0) return damaged();
  if (info.st_size == 0) return int64_t{0};  // a program without weights for XNNPACK
  const auto size = static_cast<uint64_t>(info.st_size);
  char footer[kFooterSize];
  if (size < kFooterSize || pread(file, footer, kFooterSize, info.st_size - static_cast<off_t>(kFooterSize)) !=
                                static_cast<ssize_t>(kFooterSize)) {
    return damaged();
  }
  const auto start = read_le<uint64_t>(footer);
  const auto entries = read_le<uint32_t>(footer + 8);
  if (read_le<uint32_t>(footer + 12) != kMagic || read_le<uint32_t>(footer + 16) != kVersion ||
      start >= size - kFooterSize) {
    return damaged();
  }
  std::vector<char> index(size - kFooterSize - start);
  if (pread(file, index.data(), index.size(), static_cast<off_t>(start)) != static_cast<ssize_t>(index.size())) {
    return damaged();
  }
  size_t at = 0;
  for (uint32_t entry = 0; entry < entries; ++entry) {
    if (index.size() - at < 4) return damaged();
    const auto name = read_le<uint32_t>(index.data() + at);
    at += 4;
    if (name > index.size() - at || index.size() - at - name < 20) return damaged();
    const auto offset = read_le<uint64_t>(index.data() + at + name);
    const auto bytes = read_le<uint64_t>(index.data() + at + name + 8);
    if (offset >= start || bytes > start - offset) return damaged();
    at += name + 20;
  }
  return static_cast<int64_t>(start);
}

/// XNNPACK keeps an exclusive lock on the file for as long as the program lives, though it never writes it again.
void take_back_lock(int own, dev_t device, ino_t inode) {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return;
  while (const dirent* entry = readdir(folder)) {
    const int file = std::atoi(entry->d_name);
    struct stat info{};
    if (entry->d_name[0] == '.' || file == own || file == dirfd(folder)) continue;
    if (fstat(file, &info) == 0 && info.st_dev == device && info.st_ino == inode) flock(file, LOCK_UN);
  }
  closedir(folder);
}

std::string path_of(int file) { return "/proc/self/fd/" + std::to_string(file); }

/// Lets XNNPACK write the packed weights to a temporary file and gives that its name.
Status build(const std::string& path, const PackedFile::Load& load, const std::function<void()>& unload) {
  std::string temporary = path + ".XXXXXX";
  Descriptor file(mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) return unusable(temporary, std::strerror(errno));
  Status built = load(path_of(file.get()));
  unload();
  if (built.ok()) {
    auto checked = check_packed(file.get(), temporary);
    if (!checked.ok()) {
      built = std::move(checked).failure();
    } else if (fsync(file.get()) != 0 || std::rename(temporary.c_str(), path.c_str()) != 0) {
      built = unusable(path, std::strerror(errno));
    }
  }
  if (!built.ok()) unlink(temporary.c_str());
  return built;
}

}  // namespace

std::string cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
  };
  if (auto chosen = variable("TORCHTRT_WS_CACHE"); !chosen.empty()) return chosen;
  if (auto xdg = variable("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/torchtrt_ws";
  if (auto home = variable("HOME"); !home.empty()) return home + "/.cache/torchtrt_ws";
  return {};
}

Result<PackedFile> PackedFile::open(const std::string& sha256, const Load& load, const std::function<void()>& unload) {
  const std::string folder = cache_folder();
  if (folder.empty()) return unusable("cache folder", "neither TORCHTRT_WS_CACHE nor HOME");
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const std::string path =
      folder + "/" + sha256 + "-" + TORCHTRT_WS_EXECUTORCH_VERSION + "-" + processor_fingerprint() + ".packed";
  const std::string lock_path = path + ".lock";
  Descriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.get() < 0) return unusable(lock_path, std::strerror(errno));
  while (flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return unusable(lock_path, std::strerror(errno));
  }

  // At most: a damaged file is removed, built again, opened.
  for (int attempt = 0; attempt < 3; ++attempt) {
    Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (file.get() < 0) {
      Status built = build(path, load, unload);
      if (!built.ok()) return std::move(built).failure();
      continue;
    }
    auto weights = check_packed(file.get(), path);
    if (!weights.ok()) {
      unlink(path.c_str());
      continue;
    }
    struct stat info{};
    if (fstat(file.get(), &info) != 0) return unusable(path, std::strerror(errno));
    PackedFile opened;
    opened.device_ = info.st_dev;
    opened.inode_ = info.st_ino;
    opened.weight_bytes_ = weights.value();
    if (opened.weight_bytes_ > 0) {
      Status loaded = load(path_of(file.get()));
      take_back_lock(file.get(), info.st_dev, info.st_ino);
      if (!loaded.ok()) return std::move(loaded).failure();
      opened.file_ = std::move(file);
    }
    return opened;
  }
  return unusable(path, "a file that cannot be built");
}

}  // namespace torchtrt_ws::host
