#include "cache/runtime_cache_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "cache_files.h"

namespace torchtrt_ws {
namespace {

namespace fs = std::filesystem;

using testing::Bytes;
using testing::content;
using testing::put;
using testing::some;

const CacheKey kKey{std::string(64, 'a'), "rtx1.6.1", "NVIDIA H100", 9, 0};

class RuntimeCacheFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/runtime_cache_file_test.XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    root_ = path;
  }
  void TearDown() override {
    unsetenv("TORCHTRT_WS_CACHE_LIMIT");
    fs::remove_all(root_);
  }

  RuntimeCacheFile file(const CacheKey& key = kKey) const {
    auto opened = RuntimeCacheFile::in(root_ + "/cache", key);
    EXPECT_TRUE(opened.ok());
    return std::move(opened).value();
  }

  Bytes read(const CacheKey& key = kKey) const {
    auto found = file(key).read();
    EXPECT_TRUE(found.ok());
    return found.ok() ? std::move(found).value() : Bytes{};
  }

  bool write(const Bytes& bytes, bool replace = false, const CacheKey& key = kKey) const {
    auto written = file(key).write(bytes.data(), bytes.size(), replace);
    EXPECT_TRUE(written.ok());
    return written.ok() && written.value();
  }

  std::string root_;
};

TEST_F(RuntimeCacheFileTest, TheNameSaysWhatItIsFor) {
  EXPECT_EQ(runtime_cache_name(kKey).rfind(std::string(64, 'a') + "-rtx1.6.1-sm90-", 0), 0u);
  EXPECT_EQ(fs::path(runtime_cache_name(kKey)).extension(), ".runtime");
  for (const CacheKey& other : {CacheKey{std::string(64, 'b'), "rtx1.6.1", "NVIDIA H100", 9, 0},
                                CacheKey{std::string(64, 'a'), "rtx1.7.1", "NVIDIA H100", 9, 0},
                                CacheKey{std::string(64, 'a'), "rtx1.6.1", "NVIDIA H200", 9, 0},
                                CacheKey{std::string(64, 'a'), "rtx1.6.1", "NVIDIA H100", 12, 0}}) {
    EXPECT_NE(runtime_cache_name(other), runtime_cache_name(kKey));
  }
}

TEST_F(RuntimeCacheFileTest, WhatWasWrittenIsRead) {
  EXPECT_TRUE(read().empty());
  EXPECT_TRUE(write(some(35000)));
  EXPECT_EQ(read(), some(35000));
  struct stat info{};
  ASSERT_EQ(stat(file().path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(RuntimeCacheFileTest, ALargerOneIsKeptUnlessItIsToBeReplaced) {
  EXPECT_TRUE(write(some(200)));
  EXPECT_FALSE(write(some(100)));
  EXPECT_FALSE(write(some(200, 9)));
  EXPECT_EQ(read(), some(200));
  EXPECT_TRUE(write(some(201)));
  EXPECT_EQ(read(), some(201));
  EXPECT_TRUE(write(some(10), true));
  EXPECT_EQ(read(), some(10));
}

// Each byte of the file, each length of it, and more behind it.
TEST_F(RuntimeCacheFileTest, ADamagedFileIsAsNone) {
  ASSERT_TRUE(write(some(100)));
  const std::string path = file().path();
  const std::string whole = content(path);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    put(path, damaged);
    EXPECT_TRUE(read().empty()) << at;
  }
  for (size_t size = 0; size < whole.size(); ++size) {
    put(path, whole.substr(0, size));
    EXPECT_TRUE(read().empty()) << size;
  }
  put(path, whole + "x");
  EXPECT_TRUE(read().empty());
  EXPECT_TRUE(write(some(5))) << "a damaged one is never larger";
  EXPECT_EQ(read(), some(5));
}

TEST_F(RuntimeCacheFileTest, AFileUnderAnotherNameIsNone) {
  ASSERT_TRUE(write(some(100)));
  CacheKey other = kKey;
  other.minor = 1;
  fs::copy(file().path(), file(other).path());
  EXPECT_TRUE(read(other).empty());
}

TEST_F(RuntimeCacheFileTest, WhatOthersMayWriteIsRefused) {
  ASSERT_TRUE(write(some(100)));
  chmod(file().path().c_str(), 0666);
  auto found = file().read();
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.failure().code, ErrorCode::NotSupported);
  fs::remove(file().path());
  fs::create_symlink("/etc/passwd", file().path());
  EXPECT_FALSE(file().read().ok());
}

TEST_F(RuntimeCacheFileTest, WhoFindsItLockedLeavesItToTheOther) {
  const auto folder = CacheFolder::open(root_ + "/cache");
  ASSERT_TRUE(folder.ok());
  const auto lock = folder.value().lock(runtime_cache_name(kKey));
  ASSERT_TRUE(lock.ok());
  EXPECT_FALSE(write(some(100)));
  EXPECT_TRUE(read().empty());
}

TEST_F(RuntimeCacheFileTest, LeftoversOfAWriterThatWasKilledGo) {
  ASSERT_TRUE(CacheFolder::open(root_ + "/cache").ok());
  const std::string leftover = root_ + "/cache/" + runtime_cache_name(kKey) + ".abc123";
  put(leftover, "half");
  EXPECT_TRUE(write(some(10)));
  EXPECT_FALSE(fs::exists(leftover));
}

TEST_F(RuntimeCacheFileTest, TheFolderKeepsToItsLimit) {
  setenv("TORCHTRT_WS_CACHE_LIMIT", "20000", 1);
  const std::string packed = root_ + "/cache/old.packed";
  ASSERT_TRUE(CacheFolder::open(root_ + "/cache").ok());
  put(packed, std::string(12000, 'x'));
  fs::last_write_time(packed, fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_TRUE(write(some(12000)));
  EXPECT_FALSE(fs::exists(packed)) << "one limit for all kinds";
  EXPECT_EQ(read(), some(12000)) << "even one that is too large alone stays while it is new";
}

TEST_F(RuntimeCacheFileTest, ReadingCountsAsUse) {
  ASSERT_TRUE(write(some(100)));
  const auto before = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(file().path(), before);
  EXPECT_EQ(read(), some(100));
  EXPECT_GT(fs::last_write_time(file().path()), before);
}

// Writers and readers in processes of their own: every read gives one of what was written, whole, or nothing.
TEST_F(RuntimeCacheFileTest, SeveralProcessesAtOnce) {
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
    for (int round = 0; round < 100; ++round) {
      auto opened = RuntimeCacheFile::in(root_ + "/cache", kKey);
      if (!opened.ok()) _exit(2);
      const size_t size = 1000 + static_cast<size_t>(child * 100 + round);
      const Bytes bytes = some(size, static_cast<uint8_t>(size));
      if (!opened.value().write(bytes.data(), bytes.size(), round % 10 == 0).ok()) _exit(3);
      auto found = opened.value().read();
      if (!found.ok()) _exit(4);
      const size_t got = found.value().size();
      if (got != 0 && found.value() != some(got, static_cast<uint8_t>(got))) ++wrong;
    }
    _exit(wrong == 0 ? 0 : 5);
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
