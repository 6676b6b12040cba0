#include "base/huge_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

namespace torchtrt_ws {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

std::string maps_of(const std::string& more) {
  return "5600000000-5600100000 r-xp 00000000 fe:00 42                         /usr/bin/program\n"
         "5600200000-5600300000 rw-p 00000000 00:00 0                          [heap]\n" +
         more +
         "7fff00000000-7fff00021000 rw-p 00000000 00:00 0                      [stack]\n"
         "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0              [vsyscall]\n";
}

TEST(NewAnonymous, IsFoundAmongWhatWasThere) {
  const auto before = mappings_in(maps_of(""));
  ASSERT_EQ(before.size(), 4u);
  const std::string maps = maps_of("7f0000000000-7f0010000000 rw-p 00000000 00:00 0 \n");
  const auto found = new_anonymous(before, maps, 256 * kMiB);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->start, 0x7f0000000000u);
  EXPECT_EQ(found->end, 0x7f0010000000u);
  EXPECT_FALSE(new_anonymous(before, maps, 256 * kMiB + 1));
  EXPECT_FALSE(new_anonymous(mappings_in(maps), maps, kMiB));
}

TEST(NewAnonymous, MayBeAPartOfAMappingThatGrewOnEitherSide) {
  const auto before = mappings_in(maps_of("7f0008000000-7f0008100000 rw-p 00000000 00:00 0 \n"));
  const std::string maps = maps_of("7f0000000000-7f0020000000 rw-p 00000000 00:00 0 \n");
  const auto below = new_anonymous(before, maps, 128 * kMiB);
  ASSERT_TRUE(below);
  EXPECT_EQ(below->start, 0x7f0000000000u);
  EXPECT_EQ(below->end, 0x7f0008000000u);
  const auto above = new_anonymous(before, maps, 300 * kMiB);
  ASSERT_TRUE(above);
  EXPECT_EQ(above->start, 0x7f0008100000u);
  EXPECT_EQ(above->end, 0x7f0020000000u);
  EXPECT_FALSE(new_anonymous(before, maps, 400 * kMiB));
}

TEST(NewAnonymous, IsNoFileNoStackAndNothingThatOthersShareOrCannotWrite) {
  const auto before = mappings_in(maps_of(""));
  for (const char* line :
       {"7f0000000000-7f0010000000 rw-p 00000000 fe:00 7 /tmp/model.pte\n",
        "7f0000000000-7f0010000000 rw-s 00000000 00:00 0 \n", "7f0000000000-7f0010000000 ---p 00000000 00:00 0 \n",
        "7f0000000000-7f0010000000 r--p 00000000 00:00 0 \n",
        "7f0000000000-7f0010000000 rw-p 00000000 00:00 0 [stack]\n", "nonsense\n", "\n"}) {
    EXPECT_FALSE(new_anonymous(before, maps_of(line), kMiB)) << line;
  }
  EXPECT_TRUE(
      new_anonymous(before, maps_of("7f0000000000-7f0010000000 rw-p 00000000 00:00 0 [anon: glibc: malloc]\n"), kMiB));
}

/// Whether the kernel was asked for huge pages for the mapping at `address`: "hg" among its flags (proc(5), smaps).
bool was_advised(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<uint64_t>(address);
  bool here = false;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words(line);
    uint64_t start = 0, end = 0;
    char dash = 0;
    if (words >> std::hex >> start >> dash >> end && dash == '-') here = start <= wanted && wanted < end;
    if (here && line.rfind("VmFlags:", 0) == 0) return line.find(" hg") != std::string::npos;
  }
  return false;
}

bool are_given_on_request() {
  std::string setting;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"), setting);
  return setting.find("[madvise]") != std::string::npos;
}

class HugePageWatcherTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kBytes = 256 * kMiB;

  void SetUp() override {
    if (!are_given_on_request()) GTEST_SKIP() << "this system does not give huge pages on request";
  }
  void TearDown() override {
    if (buffer_ != MAP_FAILED) munmap(buffer_, kBytes);
  }
  void allocate(uint64_t bytes) {
    buffer_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(buffer_, MAP_FAILED);
  }

  void* buffer_ = MAP_FAILED;
};

TEST_F(HugePageWatcherTest, AdvisesABufferThatComesLater) {
  HugePageWatcher watcher(kBytes + kBytes / 8);  // the plan is a little larger than the weights in it
  allocate(kBytes);
  for (int wait = 0; wait < 5000 && !was_advised(buffer_); ++wait)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(was_advised(buffer_));
  EXPECT_EQ(watcher.stop(), HugePageWatcher::Outcome::Advised);
}

TEST_F(HugePageWatcherTest, LeavesAloneWhatWasThereAndWhatIsSmall) {
  allocate(kBytes);
  HugePageWatcher watcher(kBytes);
  void* small = mmap(nullptr, kBytes / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(watcher.stop(), HugePageWatcher::Outcome::Unseen);
  EXPECT_FALSE(was_advised(buffer_));
  EXPECT_FALSE(was_advised(small));
  munmap(small, kBytes / 2);
}

}  // namespace
}  // namespace torchtrt_ws
