#include "engine/host/residency.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

namespace torchtrt_ws {

static std::vector<std::string> logged;

void log_info(const std::string& text) noexcept { logged.push_back(text); }

namespace host {
namespace {

constexpr size_t kPages = 8;

class ResidencyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    logged.clear();
    file_ = std::tmpfile();
    ASSERT_NE(file_, nullptr);
    ASSERT_EQ(ftruncate(fileno(file_), static_cast<off_t>(size_)), 0);
    mapped_ = mmap(nullptr, size_, PROT_READ, MAP_SHARED, fileno(file_), 0);
    ASSERT_NE(mapped_, MAP_FAILED);
  }
  void TearDown() override {
    munmap(mapped_, size_);
    std::fclose(file_);
  }

  static int64_t pages(size_t count) { return static_cast<int64_t>(count * page_size()); }
  Range range() const { return {reinterpret_cast<uintptr_t>(mapped_), size_}; }

  const size_t size_ = kPages * page_size();
  std::FILE* file_ = nullptr;
  void* mapped_ = nullptr;
};

TEST_F(ResidencyTest, WhatIsKeptIsWholePagesAndThere) {
  Residency residency(range());
  EXPECT_EQ(residency.kept(), 0);
  residency.keep(pages(3) + 100, pages(kPages));
  EXPECT_EQ(residency.kept(), pages(3));
  EXPECT_EQ(residency.resident(), pages(3));
  residency.keep(pages(kPages), pages(kPages));
  EXPECT_EQ(residency.kept(), pages(kPages));
  EXPECT_EQ(residency.resident(), pages(kPages));
  residency.keep(0, pages(kPages));
  EXPECT_EQ(residency.kept(), 0);
  EXPECT_EQ(residency.resident(), 0);
}

// A disk that does not give the pages looks the same: neither locking nor reading brings them.
TEST_F(ResidencyTest, WhatCannotBeReadInIsNotKeptAndSaid) {
  ASSERT_EQ(ftruncate(fileno(file_), static_cast<off_t>(2 * page_size())), 0);
  Residency residency(range());
  residency.keep(pages(5), pages(kPages));
  EXPECT_EQ(residency.kept(), 0);
  ASSERT_EQ(logged.size(), 1u);
  EXPECT_NE(logged[0].find("warning: " + std::to_string(pages(5)) + " bytes"), std::string::npos) << logged[0];
  residency.keep(pages(2), pages(kPages));
  EXPECT_EQ(residency.kept(), pages(2)) << "the next budget";
}

}  // namespace
}  // namespace host
}  // namespace torchtrt_ws
