// StreamReader on what TensorRT reads in one call: the weights of a large plan.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "standin_support.h"

namespace torchtrt_ws::testing {
namespace {

constexpr size_t kLarge = size_t{65} << 20;  // more than one thread reads

/// A plan in a file that is mapped, as a program is.
class StandinReader : public Adapter {
 protected:
  void SetUp() override {
    Adapter::SetUp();
    plan_ = large_plan();
    std::array<char, 32> name{"/tmp/reader_test_XXXXXX"};
    const int file = mkstemp(name.data());
    ASSERT_GE(file, 0);
    unlink(name.data());
    ASSERT_EQ(write(file, plan_.data(), plan_.size()), static_cast<ssize_t>(plan_.size()));
    mapped_ = mmap(nullptr, plan_.size(), PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    ASSERT_NE(mapped_, MAP_FAILED);
  }
  void TearDown() override {
    munmap(mapped_, plan_.size());
    Adapter::TearDown();
  }

  static const std::vector<uint8_t>& large_plan() {
    static const std::vector<uint8_t> plan = [] {
      PlanText text;
      text.weights = kLarge;
      return plan_bytes(text);
    }();
    return plan;
  }

  Result<std::unique_ptr<Engine>> open_mapped() {
    const Metadata metadata = acceptance_metadata();
    return tensorrt_kind()({static_cast<const uint8_t*>(mapped_), plan_.size(), [] {}},
                           {metadata, "forward", {}, GraphUse::Off});
  }

  /// Bytes of the mapping that are in this process's memory.
  int64_t resident() const {
    std::FILE* smaps = std::fopen("/proc/self/smaps", "re");
    bool here = false;
    long long kilobytes = -1;
    for (char line[512]; std::fgets(line, sizeof(line), smaps) != nullptr;) {
      unsigned long long start = 0, end = 0;
      if (std::sscanf(line, "%llx-%llx ", &start, &end) == 2) here = start == reinterpret_cast<uintptr_t>(mapped_);
      if (here && std::sscanf(line, "Rss: %lld", &kilobytes) == 1) break;
    }
    std::fclose(smaps);
    return kilobytes * 1024;
  }

  std::vector<uint8_t> plan_;
  void* mapped_ = MAP_FAILED;
};

TEST_F(StandinReader, EveryByteArrivesOnceFromMemoryAndFromAFile) {
  EXPECT_TRUE(is_ok(open_plan(plan_, acceptance_metadata())));  // the stand-in compares the plan's own checksum
  EXPECT_TRUE(is_ok(open_mapped()));
}

TEST_F(StandinReader, WhatWasReadOfAFileIsHandedBack) {
  ASSERT_TRUE(is_ok(open_mapped()));
  EXPECT_GE(resident(), 0);
  EXPECT_LE(resident(), int64_t{128} << 10);  // the first and the last page, and those that came with them
}

TEST_F(StandinReader, APieceInTheMiddleThatIsDamagedIsFound) {
  plan_[plan_.size() / 2] ^= 1;
  failed_with(open_plan(plan_, acceptance_metadata()), ErrorCode::BadEngine);
}

}  // namespace
}  // namespace torchtrt_ws::testing
