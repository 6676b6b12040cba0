#include "base/copy_mapped.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <numeric>
#include <vector>

#include "base/read_ahead.h"

namespace torchtrt_ws {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

/// A file of bytes that tell their place, mapped for reading.
class Mapped {
 public:
  explicit Mapped(size_t size) : bytes_(size) {
    for (size_t i = 0; i < size; i += 8) {
      const uint64_t word = i * 0x9E3779B97F4A7C15u;
      std::memcpy(bytes_.data() + i, &word, std::min<size_t>(8, size - i));
    }
    file_ = std::tmpfile();
    EXPECT_EQ(std::fwrite(bytes_.data(), 1, size, file_), size);
    std::fflush(file_);
    data_ = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fileno(file_), 0);
    EXPECT_NE(data_, MAP_FAILED);
  }
  ~Mapped() {
    munmap(data_, bytes_.size());
    std::fclose(file_);
  }

  const uint8_t* data() const { return static_cast<const uint8_t*>(data_); }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

  /// Nothing of it is in memory.
  void evict() const {
    fdatasync(fileno(file_));
    posix_fadvise(fileno(file_), 0, 0, POSIX_FADV_DONTNEED);
  }

  /// Pages of it that this process has mapped.
  size_t resident() const {
    std::FILE* maps = std::fopen("/proc/self/smaps", "re");
    char line[512], name[64];
    std::snprintf(name, sizeof(name), "%lx-", reinterpret_cast<unsigned long>(data_));
    bool within = false;
    unsigned long kib = 0;
    while (std::fgets(line, sizeof(line), maps) != nullptr) {
      if (std::strncmp(line, name, std::strlen(name)) == 0) within = true;
      if (within && std::sscanf(line, "Rss: %lu kB", &kib) == 1) break;
    }
    std::fclose(maps);
    return kib * 1024;
  }

 private:
  std::vector<uint8_t> bytes_;
  std::FILE* file_;
  void* data_;
};

// From a cold file, whatever the ends: all bytes, each told once, and none left mapped but at the ends.
TEST(CopyMapped, CopiesEachByteOnceAndGivesThePagesBack) {
  const Mapped file(130 * kMiB + 77);  // more than the window, and than what one thread copies
  struct Case {
    uint64_t from, to;
  };
  for (const Case& each : {Case{0, file.bytes().size()}, Case{1, 3}, Case{4097, 70 * kMiB + 5}, Case{9, 9}}) {
    file.evict();
    std::vector<char> copy(each.to - each.from + 1, 'x');
    std::mutex mutex;
    std::vector<std::pair<uint64_t, uint64_t>> told;
    copy_mapped(file.data(), each.from, each.to, copy.data(), true, [&](uint64_t from, uint64_t to) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (from != to) told.emplace_back(from, to);
    });
    EXPECT_EQ(std::memcmp(copy.data(), file.bytes().data() + each.from, each.to - each.from), 0);
    EXPECT_EQ(copy.back(), 'x') << "nothing behind the end";
    std::sort(told.begin(), told.end());
    uint64_t at = each.from;
    for (const auto& [from, to] : told) {
      EXPECT_EQ(from, at);
      at = to;
    }
    EXPECT_EQ(at, each.to);
    EXPECT_LE(file.resident(), 4 * kMiB) << each.from << " to " << each.to;
  }
}

TEST(CopyMapped, MemoryThatIsNoFileKeepsItsPages) {
  std::vector<uint8_t> data(5 * kMiB);
  std::iota(data.begin(), data.end(), uint8_t{3});
  std::vector<char> copy(data.size());
  const std::vector<uint8_t> before = data;
  copy_mapped(data.data(), 0, data.size(), copy.data(), false, [](uint64_t, uint64_t) {});
  EXPECT_EQ(data, before);
  EXPECT_EQ(std::memcmp(copy.data(), data.data(), data.size()), 0);
}

// The first window, and what each piece asks for: every byte once, and at most a window ahead.
TEST(ReadAhead, AsksForEachByteOnce) {
  constexpr uint64_t kPiece = 2 * kMiB;
  for (const uint64_t end : {uint64_t{5}, 63 * kMiB, 64 * kMiB, 64 * kMiB + 1, 200 * kMiB + 12345}) {
    uint64_t asked = std::min(end, ReadAhead::kWindow);
    for (uint64_t from = 0; from < end; from += kPiece) {
      const uint64_t to = std::min(end, from + kPiece);
      const ReadAhead::Bytes next = ReadAhead::behind({from, to}, end);
      ASSERT_LE(next.from, next.to);
      if (next.from == next.to) continue;
      EXPECT_EQ(next.from, asked);
      EXPECT_LE(next.to - from, ReadAhead::kWindow + kPiece);
      asked = next.to;
    }
    EXPECT_EQ(asked, end);
  }
}

// Where the page cache is: mincore(2) tells of a mapping's pages whether they are in memory.
TEST(ReadAhead, BringsTheWindowInBeforeItIsRead) {
  const Mapped file(100 * kMiB);
  const auto in_memory = [&](uint64_t from, uint64_t to) {
    std::vector<unsigned char> pages((to - from) / 4096);
    mincore(const_cast<uint8_t*>(file.data()) + from, to - from, pages.data());
    return static_cast<uint64_t>(
        std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; }));
  };
  const auto comes_in = [&](uint64_t from, uint64_t to) {  // who asks does not wait for the disk
    for (int i = 0; i < 1000 && in_memory(from, to) == 0; ++i) usleep(10000);
    return in_memory(from, to) > 0;
  };
  file.evict();
  if (in_memory(0, 100 * kMiB) != 0) GTEST_SKIP() << "a file system that keeps all of it in memory";
  const ReadAhead ahead(file.data(), 0, 100 * kMiB);
  EXPECT_TRUE(comes_in(0, 2 * kMiB));
  EXPECT_EQ(in_memory(80 * kMiB, 100 * kMiB), 0u) << "a window, not all of it";
  ahead.before(20 * kMiB, 22 * kMiB);
  EXPECT_TRUE(comes_in(84 * kMiB, 86 * kMiB));
}

}  // namespace
}  // namespace torchtrt_ws
