#include "base/huge_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <new>
#include <string>
#include <system_error>

#include "base/descriptor.h"

namespace torchtrt_ws {
namespace {

using std::chrono::milliseconds;

// Linux, Documentation/admin-guide/mm/transhuge.rst: "always [madvise] never", the word in force in brackets.
constexpr const char* kSetting = "/sys/kernel/mm/transparent_hugepage/enabled";

constexpr milliseconds kFirstPause{1};  // a buffer of gigabytes takes seconds to fill
constexpr milliseconds kLongestPause{16};

struct Line {
  AddressRange range;
  bool is_fresh_memory;  // private, writable, of no file, and no stack or heap
};

/// One line of /proc/self/maps: "start-end perms offset device inode path".
bool parse(const char* text, Line& line) {
  char permissions[5] = {};
  char path[6] = {};
  uint64_t inode = 0;
  const int fields = std::sscanf(text, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64 " %5s", &line.range.start,
                                 &line.range.end, permissions, &inode, path);
  const bool is_anonymous = inode == 0 && (fields == 4 || std::string_view(path) == "[anon");
  line.is_fresh_memory = is_anonymous && std::string_view(permissions) == "rw-p";
  return fields >= 4;
}

template <typename F>
void for_each_line(std::string_view maps, F&& take) {
  std::string text;
  while (!maps.empty()) {
    const size_t end = std::min(maps.find('\n'), maps.size());
    text.assign(maps.substr(0, end));
    Line line{};
    if (parse(text.c_str(), line) && !take(line)) return;
    maps.remove_prefix(std::min(end + 1, maps.size()));
  }
}

/// A file of the kernel, as far as it can be read.
std::string read_all(const char* path) {
  std::string content;
  const Descriptor file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return content;
  for (;;) {
    constexpr size_t kStep = 64 << 10;
    const size_t had = content.size();
    content.resize(had + kStep);
    const ssize_t count = read(file.get(), &content[had], kStep);
    content.resize(had + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count <= 0) break;
  }
  return content;
}

}  // namespace

std::vector<AddressRange> mappings_in(std::string_view maps) {
  std::vector<AddressRange> found;
  for_each_line(maps, [&](const Line& line) {
    found.push_back(line.range);
    return true;
  });
  return found;
}

std::optional<AddressRange> new_anonymous(const std::vector<AddressRange>& before, std::string_view maps,
                                          uint64_t least) {
  std::optional<AddressRange> found;
  auto known = before.begin();
  for_each_line(maps, [&](const Line& line) {
    if (!line.is_fresh_memory) return true;
    uint64_t start = line.range.start;
    while (known != before.end() && known->end <= start) ++known;
    for (auto each = known; start < line.range.end; ++each) {
      const bool more = each != before.end() && each->start < line.range.end;
      const uint64_t end = more ? std::max(each->start, start) : line.range.end;
      if (end - start >= least) {
        found = AddressRange{start, end};
        return false;
      }
      if (!more) break;
      start = each->end;
    }
    return true;
  });
  return found;
}

HugePageWatcher::HugePageWatcher(uint64_t bytes) {
  const std::string setting = read_all(kSetting);
  if (setting.find("[always]") != std::string::npos) return;
  if (setting.find("[madvise]") == std::string::npos) {
    outcome_ = Outcome::Refused;
    return;
  }
  try {
    // A part of the plan is no weights, and a buffer may be a little smaller than what it was read from.
    thread_ = std::thread(
        [this, before = mappings_in(read_all("/proc/self/maps")), least = bytes / 4 * 3] { look(before, least); });
  } catch (const std::system_error&) {  // no thread to be had: it is advice only
  } catch (const std::bad_alloc&) {
  }
}

void HugePageWatcher::look(const std::vector<AddressRange>& before, uint64_t least) noexcept {
  for (milliseconds pause = kFirstPause; !stopped_; pause = std::min(2 * pause, kLongestPause)) {
    try {
      const std::optional<AddressRange> buffer = new_anonymous(before, read_all("/proc/self/maps"), least);
      if (buffer) {
        const int refused = madvise(reinterpret_cast<void*>(buffer->start), buffer->end - buffer->start, MADV_HUGEPAGE);
        outcome_ = refused == 0 ? Outcome::Advised : Outcome::Refused;
        return;
      }
    } catch (const std::bad_alloc&) {
      return;
    }
    std::this_thread::sleep_for(pause);
  }
}

HugePageWatcher::Outcome HugePageWatcher::stop() noexcept {
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
  return outcome_;
}

}  // namespace torchtrt_ws
