#include "engine/host/packed_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "digest/crc32c.h"

namespace torchtrt_ws::host {
namespace {

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
void unlock(int own, dev_t device, ino_t inode) {
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

/// CRC-32C of a whole file, read and not mapped: it may be larger than what shall be resident.
std::optional<uint32_t> crc32c_of(int file, int64_t size) {
  std::vector<char> piece(size_t{1} << 20);
  Crc32c crc;
  for (int64_t done = 0; done < size;) {
    const size_t wanted = std::min<size_t>(piece.size(), static_cast<size_t>(size - done));
    const ssize_t got = pread(file, piece.data(), wanted, done);
    if (got <= 0) return std::nullopt;
    crc.update(piece.data(), static_cast<size_t>(got));
    done += got;
  }
  return crc.value();
}

/// "<size> <CRC-32C>": what `.sum` holds.
std::optional<std::string> summary(int file) {
  struct stat info{};
  if (fstat(file, &info) != 0) return std::nullopt;
  const auto crc = crc32c_of(file, info.st_size);
  if (!crc) return std::nullopt;
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%lld %08x\n", static_cast<long long>(info.st_size), *crc);
  return std::string(text.data());
}

bool write_all(int file, const std::string& text) {
  return write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// Fails where there is no room for `bytes` more: on the disk, in a quota, or under this process's limit for files.
/// XNNPACK maps the file and writes to the mapping, where a full disk is a signal that ends the process. It truncates
/// the file first, so the room is given back here; another writer may take it meanwhile.
Status reserve(int file, int64_t bytes, const std::string& path) {
  const auto no_room = [&](int error) {
    Failure failure =
        unusable_cache(path, "no room for " + std::to_string(bytes) + " bytes (" + std::strerror(error) + ")");
    failure.expected = "room for the packed weights";
    return failure;
  };
  rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < static_cast<rlim_t>(bytes)) return no_room(EFBIG);
  const int error = posix_fallocate(file, 0, bytes);
  if (ftruncate(file, 0) != 0 || error != 0) return no_room(error != 0 ? error : errno);
  return ok_status();
}

/// Checks what XNNPACK wrote, and gives it and its sum their names.
Status publish(const std::string& path, const PackedEngine& engine, int file, const std::string& temporary, int sum,
               const std::string& temporary_sum) {
  auto weights = check_packed(file, temporary);
  if (!weights.ok()) return std::move(weights).failure();
  if (weights.value() == 0 && engine.recorded_weights > 0) {
    return unusable_cache(path, "no packed weights, though XNNPACK had some to pack");
  }
  const auto text = summary(file);
  // The sum first: a file without one is not used.
  const bool named = text && write_all(sum, *text) && fsync(sum) == 0 && fsync(file) == 0 &&
                     std::rename(temporary_sum.c_str(), (path + ".sum").c_str()) == 0 &&
                     std::rename(temporary.c_str(), path.c_str()) == 0;
  return named ? ok_status() : unusable_cache(path, std::strerror(errno));
}

/// Lets XNNPACK write the packed weights to a temporary file and gives that its name.
Status build(const CacheFolder& folder, const std::string& name, const PackedEngine& engine,
             const PackedFile::Load& pack) {
  folder.remove_leftovers(name);
  const std::string path = folder.path() + "/" + name;
  std::string temporary = path + ".XXXXXX", temporary_sum = path + ".XXXXXX";
  const Descriptor file(mkostemp(temporary.data(), O_CLOEXEC));
  const Descriptor sum(mkostemp(temporary_sum.data(), O_CLOEXEC));
  Status built = ok_status();
  if (!file || !sum) {
    built = unusable_cache(temporary, std::strerror(errno));
  } else {
    built = reserve(file.get(), PackedFile::room_to_build(engine.bytes), path);
  }
  if (built.ok()) built = pack(path_of(file.get()));
  if (built.ok()) built = publish(path, engine, file.get(), temporary, sum.get(), temporary_sum);
  if (!built.ok()) {
    unlink(temporary.c_str());
    unlink(temporary_sum.c_str());
  }
  return built;
}

/// Whether the file is what was written: its size and checksum are those of `.sum`.
bool is_whole(const CacheFolder& folder, const std::string& name, int file) {
  auto sum = folder.open_file(name + ".sum");
  if (!sum.ok() || !sum.value()) return false;
  std::array<char, 48> recorded{};
  const ssize_t got = pread(sum.value().get(), recorded.data(), recorded.size() - 1, 0);
  const auto found = summary(file);
  return got > 0 && found && *found == recorded.data();
}

std::string real_path(int file) {
  std::array<char, PATH_MAX> real{};
  const ssize_t length = readlink(path_of(file).c_str(), real.data(), real.size() - 1);
  return std::string(real.data(), length > 0 ? static_cast<size_t>(length) : 0);
}

}  // namespace

std::string PackedFile::name_of(const std::string& sha256) {
  return sha256 + "-" + TORCHTRT_WS_EXECUTORCH_VERSION + "-" + processor_fingerprint() + ".packed";
}

int64_t PackedFile::room_to_build(int64_t engine_bytes) { return 2 * engine_bytes + (int64_t{1} << 20); }

std::string PackedFile::loading_path() const { return path_of(file_.get()); }

void PackedFile::take_back_lock() const {
  struct stat info{};
  if (file_ && fstat(file_.get(), &info) == 0) unlock(file_.get(), info.st_dev, info.st_ino);
}

Result<PackedFile> PackedFile::open(const PackedEngine& engine, const Load& pack, const Load& load) {
  auto found = CacheFolder::open();
  if (!found.ok()) return std::move(found).failure();
  const CacheFolder folder = std::move(found).value();
  const std::string name = name_of(engine.sha256);
  const std::string path = folder.path() + "/" + name;
  Descriptor lock(-1);
  if (folder.is_writable()) {
    auto locked = folder.lock(name);
    if (!locked.ok()) return std::move(locked).failure();
    lock = std::move(locked).value();
  }

  // At most: a damaged file is removed, built again, opened.
  bool was_built = false;
  for (int attempt = 0; attempt < 3; ++attempt) {
    auto there = folder.open_file(name);
    if (!there.ok()) return std::move(there).failure();
    Descriptor file = std::move(there).value();
    if (!file) {
      if (!folder.is_writable()) return unusable_cache(folder.path(), "a folder that this process may not write");
      Status built = engine.confirm();
      if (built.ok()) built = build(folder, name, engine, pack);
      if (!built.ok()) return std::move(built).failure();
      folder.evict(name);
      was_built = true;
      continue;
    }
    auto weights = check_packed(file.get(), path);
    if (!weights.ok() || !is_whole(folder, name, file.get())) {
      if (!folder.is_writable()) return unusable_cache(path, "a file that is damaged");
      unlink(path.c_str());
      continue;
    }
    struct stat info{};
    if (fstat(file.get(), &info) != 0) return unusable_cache(path, std::strerror(errno));
    (void)futimens(file.get(), nullptr);  // used now: evict() goes by it
    PackedFile opened;
    opened.path_ = real_path(file.get());
    opened.weight_bytes_ = weights.value();
    opened.was_built_ = was_built;
    if (opened.weight_bytes_ > 0) {
      Status loaded = load(path_of(file.get()));
      unlock(file.get(), info.st_dev, info.st_ino);
      if (!loaded.ok()) return std::move(loaded).failure();
      opened.file_ = std::move(file);
    }
    return opened;
  }
  return unusable_cache(path, "a file that cannot be built");
}

}  // namespace torchtrt_ws::host
