#include "base/file_mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>

namespace torchtrt_ws {
namespace {

struct Mapping {
  uint64_t start;
  uint64_t end;
  bool dropping_loses_nothing;
};

/// One line of /proc/self/maps: "start-end perms offset device inode path".
bool parse(const char* line, Mapping& mapping) {
  char permissions[5] = {};
  uint64_t inode = 0;
  const int fields = std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64, &mapping.start, &mapping.end,
                                 permissions, &inode);
  mapping.dropping_loses_nothing = inode != 0 && permissions[0] == 'r' && permissions[1] == '-';
  return fields == 4;
}

uintptr_t page_size() noexcept {
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  return page;
}

}  // namespace

void read_ahead(const void* data, uint64_t from, uint64_t to) noexcept {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const uintptr_t start = (begin + from) / page_size() * page_size();
  if (from < to) (void)madvise(reinterpret_cast<void*>(start), begin + to - start, MADV_WILLNEED);
}

void drop_pages(const void* data, uint64_t from, uint64_t to) noexcept {
  const uintptr_t page = page_size();
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const uintptr_t first = (begin + page - 1) / page * page;
  const uintptr_t start = std::max(first, (begin + from) / page * page);
  const uintptr_t end = (begin + to) / page * page;
  if (start < end) (void)madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
}

bool is_file_mapping(const void* data, uint64_t size) noexcept {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> maps(std::fopen("/proc/self/maps", "re"), &std::fclose);
  if (maps == nullptr || size == 0) return false;
  uint64_t covered = reinterpret_cast<uintptr_t>(data);
  const uint64_t end = covered + size;
  char line[4096 + 128];  // a path is at most PATH_MAX
  while (covered < end && std::fgets(line, sizeof(line), maps.get()) != nullptr) {
    Mapping mapping{};
    if (!parse(line, mapping) || mapping.end <= covered) continue;  // lines are in the order of addresses
    if (mapping.start > covered || !mapping.dropping_loses_nothing) return false;
    covered = mapping.end;
  }
  return covered >= end;
}

}  // namespace torchtrt_ws
