#include "engine/host/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>

#include "base/descriptor.h"

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

/// One line of /proc/self/maps: "start-end permissions offset device inode   path".
struct Line {
  Range range;
  std::string file;  // "device inode   path"; empty for memory of no file

  bool covers(uintptr_t address) const { return address >= range.start && address - range.start < range.size; }
};

std::optional<Line> parse_line(const std::string& text) {
  uintptr_t start = 0, end = 0;
  uint64_t inode = 0;
  int file = 0;
  const int fields =
      std::sscanf(text.c_str(), "%" SCNxPTR "-%" SCNxPTR " %*s %*s %n%*s %" SCNu64, &start, &end, &file, &inode);
  if (fields != 3 || end < start) return std::nullopt;
  return Line{{start, end - start}, inode == 0 ? std::string() : text.substr(static_cast<size_t>(file))};
}

std::vector<Line> parse_lines(std::string_view maps) {
  std::vector<Line> lines;
  while (!maps.empty()) {
    const size_t end = std::min(maps.find('\n'), maps.size());
    if (auto line = parse_line(std::string(maps.substr(0, end)))) lines.push_back(*std::move(line));
    maps.remove_prefix(std::min(end + 1, maps.size()));
  }
  return lines;
}

}  // namespace

size_t page_size() {
  static const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

std::vector<Range> mappings_like(std::string_view maps, uintptr_t probe) {
  const std::vector<Line> lines = parse_lines(maps);
  const auto own = std::find_if(lines.begin(), lines.end(), [probe](const Line& line) { return line.covers(probe); });
  std::vector<Range> ranges;
  if (own == lines.end() || own->file.empty()) return ranges;
  for (const Line& line : lines) {
    if (!line.covers(probe) && line.file == own->file) ranges.push_back(line.range);
  }
  return ranges;
}

std::vector<Range> mappings_of(int file) {
  // Without access, so that the kernel does not merge it with a neighbour.
  void* const probe = mmap(nullptr, page_size(), PROT_NONE, MAP_PRIVATE, file, 0);
  if (probe == MAP_FAILED) return {};
  std::ifstream maps("/proc/self/maps");
  const std::string text{std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>()};
  munmap(probe, page_size());
  return mappings_like(text, reinterpret_cast<uintptr_t>(probe));
}

size_t resident_bytes(const Range& range) {
  const Descriptor file(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  if (!file) return 0;
  constexpr uint64_t kPresent = uint64_t{1} << 63;
  const size_t pages = range.size / page_size();
  std::vector<uint64_t> entries(std::min<size_t>(pages, 8192));
  size_t resident = 0;
  for (size_t done = 0; done < pages;) {
    const size_t count = std::min(entries.size(), pages - done);
    const auto offset = static_cast<off_t>((range.start / page_size() + done) * sizeof(uint64_t));
    const ssize_t got = pread(file.get(), entries.data(), count * sizeof(uint64_t), offset);
    if (got <= 0) break;
    const size_t read = static_cast<size_t>(got) / sizeof(uint64_t);
    resident += static_cast<size_t>(std::count_if(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(read),
                                                  [](uint64_t entry) { return (entry & kPresent) != 0; }));
    done += read;
  }
  return resident * page_size();
}

int64_t available_memory() { return std::min(system_available(), cgroup_available()); }

}  // namespace torchtrt_ws::host
