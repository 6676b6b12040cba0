#include "engine/host/mapping.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

namespace torchtrt_ws::host {
namespace {

// As a kernel writes it for files on btrfs: stat() says device 0:43 of these, and the two subvolumes share 0:29.
constexpr const char* kMaps =
    "5610a0000000-5610a0001000 r-xp 00001000 08:01 257                        /usr/bin/python3.11\n"
    "7f0000000000-7f0000010000 r--s 00000000 00:29 257                        /data/one/a name.packed\n"
    "7f0000010000-7f0000030000 r--s 00010000 00:29 257                        /data/one/a name.packed\n"
    "7f0000040000-7f0000050000 r--s 00000000 00:29 257                        /data/two/a name.packed\n"
    "7f0000050000-7f0000060000 r--s 00000000 00:29 258                        /data/one/a name.packed\n"
    "7f0000060000-7f0000061000 ---p 00000000 00:29 257                        /data/one/a name.packed\n"
    "7f0000070000-7f0000080000 rw-p 00000000 00:00 0 \n"
    "7f0000090000-7f00000a0000 r--s 00000000 00:29 257                        /data/one/a name.packed2\n"
    "7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]\n"
    "what no kernel writes\n";
constexpr uintptr_t kProbe = 0x7f0000060000;

TEST(Mapping, AFileIsWhatTheKernelCallsItAndNotWhatStatSays) {
  const std::vector<Range> expected = {{0x7f0000000000, 0x10000}, {0x7f0000010000, 0x20000}};
  EXPECT_EQ(mappings_like(kMaps, kProbe), expected);
}

TEST(Mapping, WithoutAFileAtTheProbeThereAreNone) {
  EXPECT_EQ(mappings_like(kMaps, 0x7f0000070000), std::vector<Range>{}) << "memory of no file";
  EXPECT_EQ(mappings_like(kMaps, 0x1000), std::vector<Range>{}) << "not mapped";
  EXPECT_EQ(mappings_like("", kProbe), std::vector<Range>{});
}

TEST(Mapping, OfAnOpenFileAreFound) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);  // its path is "(deleted)"
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(ftruncate(fileno(file.get()), static_cast<off_t>(3 * page_size())), 0);
  EXPECT_EQ(mappings_of(fileno(file.get())), std::vector<Range>{}) << "the probe is not one of them";
  void* const mapped = mmap(nullptr, 3 * page_size(), PROT_READ, MAP_SHARED, fileno(file.get()), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  const std::vector<Range> expected = {{reinterpret_cast<uintptr_t>(mapped), 3 * page_size()}};
  EXPECT_EQ(mappings_of(fileno(file.get())), expected);
  munmap(mapped, 3 * page_size());
  EXPECT_EQ(mappings_of(-1), std::vector<Range>{});
}

}  // namespace
}  // namespace torchtrt_ws::host
