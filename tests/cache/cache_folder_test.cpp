#include "cache/cache_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

namespace torchtrt_ws {
namespace {

class CacheFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/cache_folder_test.XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    root_ = path;
    setenv("TORCHTRT_WS_CACHE", (root_ + "/deep/er").c_str(), 1);
  }
  void TearDown() override {
    unsetenv("TORCHTRT_WS_CACHE");
    std::filesystem::remove_all(root_);
  }

  std::string root_;
};

TEST_F(CacheFolderTest, IsMadeForThisUserAlone) {
  const auto folder = CacheFolder::open();
  ASSERT_TRUE(folder.ok());
  EXPECT_TRUE(folder.value().is_writable());
  for (const std::string part : {"/deep", "/deep/er"}) {
    struct stat info{};
    ASSERT_EQ(stat((root_ + part).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U) << part;
  }
}

TEST_F(CacheFolderTest, ALockHasATimeLimit) {
  const auto folder = CacheFolder::open();
  ASSERT_TRUE(folder.ok());
  {
    const auto held = folder.value().lock("a.packed");
    ASSERT_TRUE(held.ok());
    const auto waited = folder.value().lock("a.packed", 0);
    ASSERT_FALSE(waited.ok());
    EXPECT_EQ(waited.failure().code, ErrorCode::NotSupported);
    EXPECT_NE(waited.failure().message().find("another process has held"), std::string::npos);
    EXPECT_TRUE(folder.value().lock("b.packed", 0).ok());
  }
  EXPECT_TRUE(folder.value().lock("a.packed", 0).ok());
}

TEST_F(CacheFolderTest, AFileThatIsNotThereIsNoError) {
  const auto folder = CacheFolder::open();
  ASSERT_TRUE(folder.ok());
  const auto file = folder.value().open_file("none.packed");
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(file.value());
}

TEST_F(CacheFolderTest, AFolderThatOthersMayWriteIsRefused) {
  ASSERT_TRUE(CacheFolder::open().ok());
  chmod((root_ + "/deep/er").c_str(), 0770);
  const auto folder = CacheFolder::open();
  ASSERT_FALSE(folder.ok());
  EXPECT_NE(folder.failure().message().find("other users may write"), std::string::npos);
}

}  // namespace
}  // namespace torchtrt_ws
