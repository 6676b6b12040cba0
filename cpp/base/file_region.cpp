#include "base/file_region.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <tuple>

#include "digest/sha256.h"

namespace torchtrt_ws {
namespace {

int64_t nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + static_cast<int64_t>(time.tv_nsec);
}

FileRegion described(std::string path, const struct stat& info, uint64_t offset, uint64_t size) {
  return {std::move(path),
          static_cast<uint64_t>(info.st_dev),
          static_cast<uint64_t>(info.st_ino),
          static_cast<uint64_t>(info.st_size),
          nanoseconds(info.st_mtim),
          nanoseconds(info.st_ctim),
          offset,
          size};
}

/// The path of what /proc/self/maps calls `name`. Memory that is a file (memfd_create(2)) has one only as an open file;
/// it counts where nobody can write it, since its times do not tell.
std::string path_of(const std::string& name, uint64_t inode) {
  constexpr std::string_view kMemory = "/memfd:";
  if (name.compare(0, kMemory.size(), kMemory) != 0) return name;
  const std::string folder = "/proc/self/fd/";
  std::string found;
  DIR* const files = opendir(folder.c_str());
  while (const dirent* entry = files == nullptr ? nullptr : readdir(files)) {
    const std::string path = folder + entry->d_name;
    struct stat info{};
    if (stat(path.c_str(), &info) != 0 || static_cast<uint64_t>(info.st_ino) != inode) continue;
    const int seals = fcntl(std::atoi(entry->d_name), F_GET_SEALS);
    if (seals >= 0 && (seals & F_SEAL_WRITE) != 0) found = path;
  }
  if (files != nullptr) closedir(files);
  return found;
}

/// A file's descriptor, closed at the end.
class Opened {
 public:
  explicit Opened(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~Opened() {
    if (fd_ >= 0) close(fd_);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

bool operator==(const FileRegion& a, const FileRegion& b) noexcept {
  const auto all = [](const FileRegion& region) {
    return std::tie(region.device, region.inode, region.file_size, region.modified_ns, region.changed_ns, region.offset,
                    region.size);
  };
  return all(a) == all(b);
}

std::optional<FileRegion> file_region_of(const void* data, uint64_t size) {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    // "start-end permissions offset device inode   path"
    uint64_t start = 0, end = 0, offset = 0, inode = 0;
    char permissions[5] = {};
    int path = 0;
    const int fields = std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %" SCNu64 " %n", &start,
                                   &end, permissions, &offset, &inode, &path);
    if (fields != 5 || begin < start || begin >= end) continue;
    if (size > end - begin || inode == 0 || permissions[1] == 'w') return std::nullopt;
    const std::string name = path_of(line.substr(static_cast<size_t>(path)), inode);
    struct stat info{};
    if (stat(name.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    if (static_cast<uint64_t>(info.st_ino) != inode) return std::nullopt;  // replaced: the mapping is of the old one
    return described(name, info, offset + (begin - start), size);
  }
  return std::nullopt;
}

std::optional<std::string> sha256_of(const FileRegion& region) {
  const Opened file(region.path);
  struct stat info{};
  const auto unchanged = [&] {
    return fstat(file.get(), &info) == 0 && described(region.path, info, region.offset, region.size) == region;
  };
  if (file.get() < 0 || !unchanged()) return std::nullopt;
  Sha256 sha;
  constexpr uint64_t kPiece = uint64_t{1} << 20;
  std::string buffer(static_cast<size_t>(kPiece), '\0');
  for (uint64_t done = 0; done < region.size;) {
    const auto piece = static_cast<size_t>(std::min(kPiece, region.size - done));
    const ssize_t got = pread(file.get(), buffer.data(), piece, static_cast<off_t>(region.offset + done));
    if (got <= 0) return std::nullopt;
    sha.update(buffer.data(), static_cast<size_t>(got));
    done += static_cast<uint64_t>(got);
  }
  if (!unchanged()) return std::nullopt;
  return sha.finish_hex();
}

}  // namespace torchtrt_ws
