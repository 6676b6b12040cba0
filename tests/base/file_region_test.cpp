#include "base/file_region.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <string>

#include "digest/sha256.h"

namespace torchtrt_ws {
namespace {

/// A file of two pages, mapped as a program is.
class FileRegionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<char, 64> name{};
    std::snprintf(name.data(), name.size(), "/tmp/file_region_test_%d", getpid());
    path_ = name.data();
    write(std::string(8192, 'a'));
    data_ = map();
  }
  void TearDown() override {
    munmap(data_, 8192);
    std::remove(path_.c_str());
  }

  void write(const std::string& content) const { std::ofstream(path_, std::ios::binary) << content; }

  char* map() const {
    const int file = open(path_.c_str(), O_RDONLY);
    void* mapped = mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    EXPECT_NE(mapped, MAP_FAILED);
    return static_cast<char*>(mapped);
  }

  std::string path_;
  char* data_ = nullptr;
};

TEST_F(FileRegionTest, TwoMappingsOfOneFileAreOneRegion) {
  char* again = map();
  const auto first = file_region_of(data_ + 100, 1000), second = file_region_of(again + 100, 1000);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->offset, 100u);
  EXPECT_EQ(first->size, 1000u);
  EXPECT_TRUE(*first == *second);
  EXPECT_FALSE(*first == *file_region_of(again + 101, 1000));
  EXPECT_FALSE(*first == *file_region_of(again + 100, 999));
  EXPECT_EQ(sha256_of(*first), sha256_hex(data_ + 100, 1000));
  munmap(again, 8192);
}

TEST_F(FileRegionTest, OtherMemoryIsNoRegion) {
  std::string heap(1000, 'a');
  EXPECT_FALSE(file_region_of(heap.data(), heap.size()));
  EXPECT_FALSE(file_region_of(nullptr, 10));
  EXPECT_FALSE(file_region_of(data_ + 100, 1 << 20)) << "more than is mapped";
}

// As the verified copy of a signed program is.
TEST_F(FileRegionTest, SealedMemoryIsAFile) {
  const int memory = memfd_create("file_region_test", MFD_ALLOW_SEALING);
  ASSERT_GE(memory, 0);
  ASSERT_EQ(::write(memory, std::string(8192, 'm').data(), 8192), 8192);
  void* const one = mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE, memory, 0);
  void* const other = mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE, memory, 0);
  EXPECT_FALSE(file_region_of(one, 8192)) << "anybody can write it yet";
  ASSERT_EQ(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
  const auto first = file_region_of(one, 8192), second = file_region_of(other, 8192);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(*first == *second);
  EXPECT_EQ(sha256_of(*first), sha256_hex(std::string(8192, 'm').data(), 8192));
  close(memory);
  EXPECT_FALSE(file_region_of(one, 8192)) << "there is no way to its bytes";
  munmap(one, 8192);
  munmap(other, 8192);
}

TEST_F(FileRegionTest, AChangedFileIsAnother) {
  const auto before = file_region_of(data_, 8192);
  ASSERT_TRUE(before);
  usleep(20000);  // a tick of the file system's clock
  write(std::string(8192, 'b'));
  const auto after = file_region_of(data_, 8192);
  ASSERT_TRUE(after);
  EXPECT_FALSE(*before == *after);
  EXPECT_EQ(sha256_of(*before), std::nullopt);
  EXPECT_EQ(sha256_of(*after), sha256_hex(std::string(8192, 'b').data(), 8192));
}

TEST_F(FileRegionTest, AReplacedFileIsNoneOfTheMapping) {
  const auto before = file_region_of(data_, 8192);
  const std::string other = path_ + ".new";
  std::ofstream(other, std::ios::binary) << std::string(8192, 'a');
  ASSERT_EQ(std::rename(other.c_str(), path_.c_str()), 0);
  EXPECT_FALSE(file_region_of(data_, 8192));
  EXPECT_EQ(sha256_of(*before), std::nullopt);
}

}  // namespace
}  // namespace torchtrt_ws
