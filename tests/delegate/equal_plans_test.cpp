// Two engines of one program whose plan is stored once: one copy of the weights, which a total counts once.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "blob/header.h"
#include "fake_engine.h"
#include "mapped_file.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;
using executorch::runtime::FreeableBuffer;

constexpr size_t kSegment = 128;  // where ExecuTorch begins a segment

template <typename T>
T read_at(const std::vector<char>& blob, size_t offset) {
  T value;
  std::memcpy(&value, blob.data() + offset, sizeof(T));
  return value;
}

/// Blobs of one engine as the writer lays them out: each one's header and metadata, then the engine. `starts`: where
/// each begins.
std::vector<char> stored_once(const std::vector<std::vector<char>>& blobs, std::vector<size_t>* starts) {
  std::vector<char> all;
  for (const auto& blob : blobs) {
    all.resize((all.size() + kSegment - 1) / kSegment * kSegment);
    starts->push_back(all.size());
    all.insert(all.end(), blob.begin(), blob.begin() + read_at<uint32_t>(blob, wire::kEngineOffsetField));
  }
  for (const size_t start : *starts) {
    const auto offset = static_cast<uint32_t>(all.size() - start);
    std::memcpy(all.data() + start + wire::kEngineOffsetField, &offset, sizeof(offset));
  }
  const auto& last = blobs.back();
  all.insert(all.end(), last.begin() + read_at<uint32_t>(last, wire::kEngineOffsetField), last.end());
  return all;
}

class EqualPlans : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    device().shares = true;
    device().free = kFree;
  }
  void TearDown() override { EXPECT_EQ(device().free, kFree) << "memory was leaked on the device"; }

  /// What the file of a program of `engines` says, of 800 bytes each, `distinct` without those that are equal.
  static std::vector<char> blob_of(const std::string& name, int engines, int distinct) {
    const std::string sums = std::to_string(800 * engines) + R"(,"distinct_streamable_bytes":)";
    return make_blob(name, engines, sums + std::to_string(800 * distinct), "800");
  }

  /// Twins "a" and "b", in a program of `engines`.
  void write_twins(int engines, int distinct) {
    file_.emplace(stored_once({blob_of("a", engines, distinct), blob_of("b", engines, distinct)}, &starts_));
  }
  FreeableBuffer twin(size_t index) { return file_->map(starts_[index]); }

  static constexpr int64_t kFree = 2000;
  executorch::runtime::MemoryAllocator program_{0, nullptr};
  std::optional<MappedFile> file_;
  std::vector<size_t> starts_;
};

TEST_F(EqualPlans, ATotalCountsTheWeightsOnce) {
  write_twins(2, 1);
  const Loaded::Options total = {{"weight_streaming_total_budget", 400}};
  Loaded a(twin(0), total, &program_);
  ASSERT_EQ(a.error, Error::Ok) << last_error().message;
  ::testing::internal::CaptureStderr();
  Loaded b(twin(1), total, &program_);
  const std::string said = ::testing::internal::GetCapturedStderr();
  ASSERT_EQ(b.error, Error::Ok) << last_error().message;
  EXPECT_EQ(said.find("warning"), std::string::npos) << said;
  EXPECT_EQ(device().free, kFree - 400 - 150 - 150) << "the weights once, and two contexts";
  EXPECT_EQ(engines()[0].shared_with, std::vector<uint64_t>{engines()[1].id});
  for (const EngineReport& report : engines()) EXPECT_EQ(report.budget_bytes, 400) << report.name;
  EXPECT_EQ(a.run(1, 3.0f), Error::Ok);
  EXPECT_EQ(b.run(1, 4.0f), Error::Ok);
  EXPECT_EQ(b.output[0], 8.0f);
}

TEST_F(EqualPlans, WithWeightsOfTheirOwnEachHasItsPart) {
  write_twins(2, 1);
  const Loaded::Options total = {{"weight_streaming_total_budget", 400}, {"use_shared_engines", false}};
  Loaded a(twin(0), total, &program_), b(twin(1), total, &program_);
  ASSERT_EQ(b.error, Error::Ok) << last_error().message;
  for (const EngineReport& report : engines()) EXPECT_EQ(report.budget_bytes, 200) << report.name;
}

// In memory of their own nobody knows that they are equal.
TEST_F(EqualPlans, UnmappedEachHasItsPart) {
  const Loaded::Options total = {{"weight_streaming_total_budget", 400}};
  Loaded a(blob_of("a", 2, 1), total, {}, &program_), b(blob_of("b", 2, 1), total, {}, &program_);
  ASSERT_EQ(b.error, Error::Ok) << last_error().message;
  for (const EngineReport& report : engines()) EXPECT_EQ(report.budget_bytes, 200) << report.name;
}

// The other twin is loaded, and not to come: nothing is kept for it, as at load.
TEST_F(EqualPlans, AutomaticAfterLoadingIsWhatItWasAtLoad) {
  device().free = 950;
  {
    write_twins(2, 1);
    const Loaded::Options automatic = {{"weight_streaming_reserve", 0}, {"weight_streaming_margin", 0}};
    Loaded a(twin(0), automatic, &program_), b(twin(1), automatic, &program_);
    ASSERT_EQ(b.error, Error::Ok) << last_error().message;
    const std::vector<uint64_t> ids = {engines()[0].id, engines()[1].id};
    const auto change = [&](LoadOptions options) {
      ASSERT_EQ(set_budgets(ids, {options.view().data(), options.view().size()}), Error::Ok) << last_error().message;
    };
    for (const EngineReport& report : engines()) EXPECT_EQ(report.budget_bytes, 800) << report.name;
    change(LoadOptions().set_budget_per_engine(300));
    EXPECT_EQ(automatic_budget(ids, 0).get(), 800);
    change(LoadOptions().set_reserve(0).set_margin(0));
    for (const EngineReport& report : engines()) EXPECT_EQ(report.budget_bytes, 800) << report.name;
  }
  device().free += kFree - 950;
}

TEST_F(EqualPlans, ATotalAfterLoadingIsOneChange) {
  write_twins(2, 1);
  Loaded a(twin(0), {}, &program_), b(twin(1), {}, &program_);
  device().calls.clear();
  LoadOptions options;
  options.set_total_budget(300);
  const auto view = options.view();
  ASSERT_EQ(set_budgets({engines()[0].id, engines()[1].id}, {view.data(), view.size()}), Error::Ok);
  EXPECT_EQ(std::count(device().calls.begin(), device().calls.end(), "set 300"), 1);
  for (const EngineReport& report : engines()) EXPECT_EQ(report.budget_bytes, 300) << report.name;
}

// The second of the twins brings no weights: what is free is for the first and for the third engine.
TEST_F(EqualPlans, AutomaticBudgetsKeepNothingForTheSecond) {
  device().free = 1000;
  write_twins(3, 2);
  const Loaded::Options automatic = {{"weight_streaming_margin", 0}};
  {
    Loaded a(twin(0), automatic, &program_);
    ASSERT_EQ(a.error, Error::Ok) << last_error().message;
    // Of 1000 bytes three contexts with scratch take 450: a half of the rest, for 800 bytes here and 800 to come.
    EXPECT_EQ(engines()[0].budget_bytes, 275);
    Loaded b(twin(1), automatic, &program_);
    EXPECT_EQ(engines()[0].budget_bytes, 275);
    auto bytes = blob_of("c", 3, 2);
    bytes.back() = 'E';  // another engine
    MappedFile other(bytes);
    Loaded c(other.map(), automatic, &program_);
    ASSERT_EQ(c.error, Error::Ok) << last_error().message;
    ASSERT_EQ(engines().size(), 3u);
    EXPECT_TRUE(engines()[2].shared_with.empty());
    EXPECT_EQ(engines()[0].budget_bytes, 275);
    EXPECT_EQ(engines()[2].budget_bytes, 275);
    EXPECT_EQ(device().free, 0);
  }
  device().free += kFree - 1000;
}

}  // namespace
}  // namespace torchtrt_ws::testing
