#include "cache/refit_cache_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "cache_files.h"
#include "digest/crc32c.h"
#include "digest/sha256.h"

namespace torchtrt_ws {
namespace {

namespace fs = std::filesystem;

using testing::Bytes;
using testing::content;
using testing::put;
using testing::some;

constexpr size_t kHeader = 4096;

const CacheKey kKey{std::string(64, 'a'), "rtx1.6.1", "NVIDIA H100", 9, 0};

class RefitCacheFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/refit_cache_file_test.XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    root_ = path;
  }
  void TearDown() override {
    unsetenv("TORCHTRT_WS_CACHE_LIMIT");
    fs::remove_all(root_);
  }

  RefitCacheFile file(const CacheKey& key = kKey) const {
    auto opened = RefitCacheFile::in(root_ + "/cache", key);
    EXPECT_TRUE(opened.ok());
    return std::move(opened).value();
  }

  std::optional<CachedPlan> find(Verify verify = Verify::Checksum, const CacheKey& key = kKey) const {
    auto found = file(key).find(verify);
    EXPECT_TRUE(found.ok());
    return found.ok() ? std::move(found).value() : std::nullopt;
  }

  /// The plan, if it is what the file says of it.
  Bytes read() const {
    const auto found = find();
    if (!found) return {};
    Crc32c crc;
    crc.update(found->data(), found->size());
    if (crc.value() != found->crc32c()) return {};
    EXPECT_EQ(sha256_hex(found->data(), found->size()), found->sha256());
    return {found->data(), found->data() + found->size()};
  }

  bool write(const Bytes& bytes, Verify verified = Verify::Checksum) const {
    auto written = file().write(bytes.data(), bytes.size(), verified);
    EXPECT_TRUE(written.ok());
    return written.ok() && written.value();
  }

  std::string root_;
};

TEST_F(RefitCacheFileTest, WhatWasWrittenIsFound) {
  EXPECT_FALSE(find());
  EXPECT_TRUE(write(some(35000)));
  EXPECT_EQ(read(), some(35000));
  EXPECT_TRUE(write(some(100, 5))) << "the newest stays, not the largest";
  EXPECT_EQ(read(), some(100, 5));
  struct stat info{};
  ASSERT_EQ(stat(file().path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(fs::path(file().path()).extension(), ".refit");
}

TEST_F(RefitCacheFileTest, ManyPiecesAreOnePlan) {
  const Bytes large = some((size_t{33} << 20) + 7);
  ASSERT_TRUE(write(large));
  EXPECT_EQ(read(), large);
}

TEST_F(RefitCacheFileTest, APlanThatWasFoundOutlivesItsFile) {
  ASSERT_TRUE(write(some(5000)));
  const auto found = find();
  ASSERT_TRUE(found);
  file().remove();
  EXPECT_FALSE(find());
  EXPECT_EQ(Bytes(found->data(), found->data() + found->size()), some(5000));
}

TEST_F(RefitCacheFileTest, WeightsThatWereComparedLessStrictlyAreNotTrusted) {
  ASSERT_TRUE(write(some(10), Verify::Checksum));
  EXPECT_TRUE(find(Verify::Off));
  EXPECT_TRUE(find(Verify::Checksum));
  EXPECT_FALSE(find(Verify::Digest));
  ASSERT_TRUE(write(some(10), Verify::Digest));
  EXPECT_TRUE(find(Verify::Digest));
  EXPECT_TRUE(find(Verify::Checksum));
  EXPECT_FALSE(write(some(10), Verify::Off)) << "weights that nobody compared";
}

// Each byte of the header, each length of the file, and more behind it. A byte of the plan is its reader's to compare.
TEST_F(RefitCacheFileTest, ADamagedFileIsAsNone) {
  ASSERT_TRUE(write(some(100)));
  const std::string path = file().path();
  const std::string whole = content(path);
  ASSERT_EQ(whole.size(), kHeader + 100);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    put(path, damaged);
    EXPECT_EQ(find().has_value(), at >= kHeader) << at;
    EXPECT_TRUE(read().empty()) << at;
  }
  for (size_t size = 0; size < whole.size(); size += size < 4000 ? 499 : 1) {
    put(path, whole.substr(0, size));
    EXPECT_FALSE(find()) << size;
  }
  put(path, whole + "x");
  EXPECT_FALSE(find());
  EXPECT_TRUE(write(some(5)));
  EXPECT_EQ(read(), some(5));
}

TEST_F(RefitCacheFileTest, AFileUnderAnotherNameIsNone) {
  ASSERT_TRUE(write(some(100)));
  CacheKey other = kKey;
  other.minor = 1;
  fs::copy(file().path(), file(other).path());
  EXPECT_FALSE(find(Verify::Checksum, other));
}

TEST_F(RefitCacheFileTest, WhatOthersMayWriteIsRefused) {
  ASSERT_TRUE(write(some(100)));
  chmod(file().path().c_str(), 0666);
  auto found = file().find(Verify::Checksum);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.failure().code, ErrorCode::NotSupported);
  fs::remove(file().path());
  fs::create_symlink("/etc/passwd", file().path());
  EXPECT_FALSE(file().find(Verify::Checksum).ok());
}

TEST_F(RefitCacheFileTest, WhoFindsItLockedLeavesItToTheOther) {
  const auto folder = CacheFolder::open(root_ + "/cache");
  ASSERT_TRUE(folder.ok());
  const auto lock = folder.value().lock(fs::path(file().path()).filename());
  ASSERT_TRUE(lock.ok());
  EXPECT_FALSE(write(some(100)));
  EXPECT_FALSE(find());
}

// A limit on the size of files stands for the end of the disk: writes stop in the middle of the plan.
TEST_F(RefitCacheFileTest, AFullDiskLeavesWhatWasThere) {
  ASSERT_TRUE(write(some(100)));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit limit{size_t{1} << 20, size_t{1} << 20};
    (void)signal(SIGXFSZ, SIG_IGN);
    const Bytes large = some(size_t{20} << 20);
    const auto written = setrlimit(RLIMIT_FSIZE, &limit) == 0
                             ? file().write(large.data(), large.size(), Verify::Checksum)
                             : Result<bool>(true);
    _exit(!written.ok() && written.failure().code == ErrorCode::NotSupported ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(read(), some(100));
  size_t files = 0;
  for (const auto& each : fs::directory_iterator(root_ + "/cache")) files += each.path().extension() != ".lock";
  EXPECT_EQ(files, 1u) << "nothing is left over";
}

TEST_F(RefitCacheFileTest, TheFolderKeepsToItsLimitAndFindingCountsAsUse) {
  setenv("TORCHTRT_WS_CACHE_LIMIT", "60000", 1);
  ASSERT_TRUE(write(some(20000)));
  const auto before = fs::file_time_type::clock::now() - std::chrono::hours(1);
  const std::string packed = root_ + "/cache/old.packed";
  put(packed, std::string(20000, 'x'));
  fs::last_write_time(packed, before + std::chrono::minutes(1));
  fs::last_write_time(file().path(), before);
  ASSERT_TRUE(find());
  CacheKey other = kKey;
  other.minor = 1;
  ASSERT_TRUE(file(other).write(some(20000).data(), 20000, Verify::Checksum).ok());
  EXPECT_FALSE(fs::exists(packed)) << "one limit for all kinds";
  EXPECT_TRUE(find());
  EXPECT_TRUE(find(Verify::Checksum, other));
}

// Writers and readers in processes of their own: every read gives one of what was written, whole, or nothing.
TEST_F(RefitCacheFileTest, SeveralProcessesAtOnce) {
  constexpr int kProcesses = 6;
  std::vector<pid_t> children;
  ASSERT_TRUE(CacheFolder::open(root_ + "/cache").ok());
  for (int child = 0; child < kProcesses; ++child) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid != 0) {
      children.push_back(pid);
      continue;
    }
    int wrong = 0;
    for (int round = 0; round < 50; ++round) {
      const size_t size = 1000 + static_cast<size_t>(child * 100 + round);
      write(some(size, static_cast<uint8_t>(size)));
      const auto found = find();
      if (found && Bytes(found->data(), found->data() + found->size()) !=
                       some(found->size(), static_cast<uint8_t>(found->size()))) {
        ++wrong;
      }
    }
    _exit(HasFailure() ? 2 : wrong == 0 ? 0 : 5);
  }
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
  EXPECT_GE(read().size(), 1000u);
  size_t files = 0;
  for (const auto& each : fs::directory_iterator(root_ + "/cache")) files += each.path().extension() != ".lock";
  EXPECT_EQ(files, 1u) << "nothing is left over";
}

}  // namespace
}  // namespace torchtrt_ws
