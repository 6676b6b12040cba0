#include "engine/host/mapping.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>

namespace torchtrt_ws::host {
namespace {

/// The number in the only line of a file such as /sys/fs/cgroup/memory.max; the maximum when it has none ("max").
int64_t read_number(const std::string& path) {
  std::ifstream file(path);
  int64_t number = 0;
  return file >> number ? number : std::numeric_limits<int64_t>::max();
}

int64_t system_available() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  int64_t kib = 0;
  while (file >> key >> kib) {
    if (key == "MemAvailable:") return kib * 1024;
    std::getline(file, unit);
  }
  return std::numeric_limits<int64_t>::max();
}

/// What the cgroup (version 2) of this process has left.
int64_t cgroup_available() {
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("0::", 0) != 0) continue;
    const std::string folder = "/sys/fs/cgroup" + line.substr(3);
    const int64_t limit = read_number(folder + "/memory.max");
    const int64_t used = read_number(folder + "/memory.current");
    const bool limited = limit != std::numeric_limits<int64_t>::max() && used != limit;
    return limited ? std::max<int64_t>(limit - used, 0) : std::numeric_limits<int64_t>::max();
  }
  return std::numeric_limits<int64_t>::max();
}

}  // namespace

size_t page_size() {
  static const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

std::vector<Range> mappings_of(const std::string& path, ino_t inode) {
  std::vector<Range> ranges;
  std::ifstream file("/proc/self/maps");
  std::string line;
  while (std::getline(file, line)) {
    uintptr_t start = 0, end = 0;
    uint64_t found_inode = 0;
    int name = 0;
    const int fields = std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64 " %n", &start, &end,
                                   &found_inode, &name);
    if (fields != 3 || found_inode != inode) continue;
    if (line.compare(static_cast<size_t>(name), path.size(), path) == 0) ranges.push_back({start, end - start});
  }
  return ranges;
}

size_t resident_bytes(const Range& range) {
  const int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  constexpr uint64_t kPresent = uint64_t{1} << 63;
  const size_t pages = range.size / page_size();
  std::vector<uint64_t> entries(std::min<size_t>(pages, 8192));
  size_t resident = 0;
  for (size_t done = 0; done < pages;) {
    const size_t count = std::min(entries.size(), pages - done);
    const auto offset = static_cast<off_t>((range.start / page_size() + done) * sizeof(uint64_t));
    const ssize_t got = pread(file, entries.data(), count * sizeof(uint64_t), offset);
    if (got <= 0) break;
    const size_t read = static_cast<size_t>(got) / sizeof(uint64_t);
    resident += static_cast<size_t>(std::count_if(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(read),
                                                  [](uint64_t entry) { return (entry & kPresent) != 0; }));
    done += read;
  }
  close(file);
  return resident * page_size();
}

int64_t available_memory() { return std::min(system_available(), cgroup_available()); }

}  // namespace torchtrt_ws::host
