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
#include <numeric>
#include <string_view>
#include <tuple>

#include "base/descriptor.h"
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

uintptr_t address(const std::pair<const void*, uint64_t>& span) { return reinterpret_cast<uintptr_t>(span.first); }

/// One line of /proc/self/maps.
struct Mapped {
  uint64_t start, end, offset, inode;
  bool writable;
  std::string name;
};

std::optional<Mapped> parse(const std::string& line) {
  // "start-end permissions offset device inode   path"
  Mapped mapped{};
  char permissions[5] = {};
  int path = 0;
  const int fields = std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %" SCNu64 " %n",
                                 &mapped.start, &mapped.end, permissions, &mapped.offset, &mapped.inode, &path);
  if (fields != 5) return std::nullopt;
  mapped.writable = permissions[1] == 'w';
  mapped.name = line.substr(static_cast<size_t>(path));
  return mapped;
}

std::optional<FileRegion> region_in(const Mapped& mapping, uintptr_t begin, uint64_t size) {
  if (size > mapping.end - begin || mapping.inode == 0 || mapping.writable) return std::nullopt;
  const std::string name = path_of(mapping.name, mapping.inode);
  struct stat info{};
  if (stat(name.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  if (static_cast<uint64_t>(info.st_ino) != mapping.inode) return std::nullopt;  // replaced: this is the old one
  return described(name, info, mapping.offset + (begin - mapping.start), size);
}

}  // namespace

bool operator==(const FileRegion& a, const FileRegion& b) noexcept {
  const auto all = [](const FileRegion& region) {
    return std::tie(region.device, region.inode, region.file_size, region.modified_ns, region.changed_ns, region.offset,
                    region.size);
  };
  return all(a) == all(b);
}

std::optional<FileRegion> file_region_of(const void* data, uint64_t size) { return file_regions_of({{data, size}})[0]; }

std::vector<std::optional<FileRegion>> file_regions_of(const std::vector<std::pair<const void*, uint64_t>>& spans) {
  std::vector<std::optional<FileRegion>> regions(spans.size());
  std::vector<size_t> order(spans.size());  // by address, as the mappings are listed
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return spans[a].first < spans[b].first; });
  std::ifstream maps("/proc/self/maps");
  std::string line;
  for (size_t next = 0; next < order.size() && std::getline(maps, line);) {
    const std::optional<Mapped> mapping = parse(line);
    if (!mapping) continue;
    for (; next < order.size() && address(spans[order[next]]) < mapping->end; ++next) {
      const auto& span = spans[order[next]];
      if (address(span) >= mapping->start) regions[order[next]] = region_in(*mapping, address(span), span.second);
    }
  }
  return regions;
}

std::optional<std::string> sha256_of(const FileRegion& region) {
  const Descriptor file(open(region.path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  const auto unchanged = [&] {
    return fstat(file.get(), &info) == 0 && described(region.path, info, region.offset, region.size) == region;
  };
  if (!file || !unchanged()) return std::nullopt;
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
