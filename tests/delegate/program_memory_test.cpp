// Several engines of one program on one device: what each gets, in any loading order.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>

#include "fake_engine.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;
using Budgets = std::map<std::string, int64_t>;

constexpr int64_t kMiB = int64_t{1} << 20;

struct Size {
  int64_t streamable, scratch, context;  // MiB
};

class ProgramMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override { reset_device(); }
  void TearDown() override {
    loaded_.clear();
    EXPECT_EQ(device().free, given_) << "memory was leaked on the device";
  }

  void give_device(int64_t free) { given_ = device().free = free * kMiB; }

  /// Loads one engine of the program `sizes`, whose file records its sizes if `recorded`.
  Error load(const std::string& name, Loaded::Options options = {}, bool recorded = true) {
    int64_t all = 0;
    for (const auto& [each, size] : sizes) all += size.streamable * kMiB;
    const Size& size = sizes.at(name);
    device().streamable = size.streamable * kMiB;
    device().scratch = size.scratch * kMiB;
    device().context = size.context * kMiB;
    auto blob = make_blob(name, static_cast<int>(sizes.size()), recorded ? std::to_string(all) : "null",
                          recorded ? std::to_string(device().streamable) : "null");
    loaded_.emplace_back(std::move(blob), std::move(options), Loaded::Specs{}, &program_);
    return loaded_.back().error;
  }

  void unload_all() { loaded_.clear(); }

  static Budgets budgets() {
    Budgets found;
    for (const EngineReport& report : engines()) found[report.name] = report.budget_bytes / kMiB;
    return found;
  }

  static int64_t free_now() { return device().free / kMiB; }

  std::map<std::string, Size> sizes = {{"a", {800, 40, 10}}, {"b", {400, 30, 10}}, {"c", {100, 20, 10}}};

 private:
  int64_t given_ = 0;
  executorch::runtime::MemoryAllocator program_{0, nullptr};
  std::deque<Loaded> loaded_;
};

TEST_F(ProgramMemoryTest, EverythingIsResidentWhereItFits) {
  give_device(1300 + 30 + 64);
  for (const char* name : {"a", "b", "c"}) ASSERT_EQ(load(name), Error::Ok);
  EXPECT_EQ(budgets(), (Budgets{{"a", 800}, {"b", 400}, {"c", 100}}));
  EXPECT_EQ(device().calls,
            (std::vector<std::string>{"set 838860800", "make", "set 419430400", "make", "set 104857600", "make"}))
      << "nobody was asked for scratch, or moved";
}

// The first engine does not take what the others need, and the last one leaves nothing idle.
TEST_F(ProgramMemoryTest, WhatIsFreeIsSplitInAnyLoadingOrder) {
  for (const int64_t free : {1300, 1000, 700, 450, 300, 220}) {
    std::vector<std::string> order = {"a", "b", "c"};
    do {
      give_device(free);
      for (const std::string& name : order) ASSERT_EQ(load(name), Error::Ok) << last_error().message;
      const int64_t spare = free - 64 - 30 - 90;  // without margin, contexts and scratch
      int64_t sum = 0;
      for (const auto& [name, budget] : budgets()) {
        const double fair = static_cast<double>(spare * sizes.at(name).streamable) / 1300;
        EXPECT_GE(static_cast<double>(budget), fair - 0.07 * static_cast<double>(sizes.at(name).streamable))
            << name << " of " << free << ", loaded as " << order[0] << order[1] << order[2];
        sum += budget;
      }
      EXPECT_LE(sum, spare + 90);
      EXPECT_GE(free_now(), 64) << "the margin, with " << free;
      EXPECT_LE(free_now(), 64 + 90) << "little is idle, with " << free;
      unload_all();
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_F(ProgramMemoryTest, WithoutRecordedSizesTheOthersMakeRoom) {
  give_device(700);
  for (const char* name : {"a", "b", "c"}) ASSERT_EQ(load(name, {}, false), Error::Ok) << last_error().message;
  EXPECT_GT(budgets().at("a"), 250);
  EXPECT_GT(budgets().at("b"), 120);
  EXPECT_GE(free_now(), 64);
}

TEST_F(ProgramMemoryTest, AReserveIsLeftFree) {
  give_device(1000);
  const Loaded::Options options = {{"weight_streaming_reserve", text(std::to_string(300 * kMiB))}};
  for (const char* name : {"c", "a", "b"}) ASSERT_EQ(load(name, options), Error::Ok);
  EXPECT_GE(free_now(), 300);
  EXPECT_LE(free_now(), 300 + 90);
}

TEST_F(ProgramMemoryTest, ATotalIsSplitInAnyLoadingOrder) {
  std::vector<std::string> order = {"a", "b", "c"};
  do {
    give_device(2000);
    const Loaded::Options options = {{"weight_streaming_total_budget", text(std::to_string(650 * kMiB))}};
    for (const std::string& name : order) ASSERT_EQ(load(name, options), Error::Ok);
    EXPECT_EQ(budgets(), (Budgets{{"a", 400}, {"b", 200}, {"c", 50}}));
    unload_all();
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(ProgramMemoryTest, OneEngineByNameAndTheOthersShareTheRest) {
  for (const bool named_first : {true, false}) {
    give_device(1000);
    const Loaded::Options options = {{"weight_streaming_budget.b", text(std::to_string(350 * kMiB))}};
    for (const char* name : {named_first ? "b" : "a", named_first ? "a" : "b", "c"}) {
      ASSERT_EQ(load(name, options), Error::Ok) << last_error().message;
    }
    EXPECT_EQ(budgets().at("b"), 350);
    EXPECT_GE(free_now(), 64);
    EXPECT_LE(free_now(), 64 + 90);
    unload_all();
  }
}

// An engine that must have its bytes takes them from those that chose for themselves.
TEST_F(ProgramMemoryTest, AutomaticEnginesMakeRoomForAnExplicitBudget) {
  give_device(900);
  sizes = {{"a", {800, 40, 10}}, {"b", {400, 30, 10}}};
  ASSERT_EQ(load("a"), Error::Ok);
  const int64_t before = budgets().at("a");
  EXPECT_EQ(load("b", {{"weight_streaming_budget", text(std::to_string(400 * kMiB))}}), Error::Ok);
  EXPECT_EQ(budgets().at("b"), 400);
  EXPECT_LT(budgets().at("a"), before);
}

TEST_F(ProgramMemoryTest, WhatDoesNotFitAnywayMovesNobody) {
  give_device(900);
  sizes = {{"a", {800, 40, 10}}, {"b", {900, 30, 10}}};
  ASSERT_EQ(load("a"), Error::Ok);
  const Budgets before = budgets();
  EXPECT_EQ(load("b", {{"weight_streaming_budget", text(std::to_string(900 * kMiB))}}), Error::MemoryAllocationFailed);
  EXPECT_EQ(budgets(), before);
}

TEST_F(ProgramMemoryTest, AnotherProgramIsNotMoved) {
  give_device(900);
  sizes = {{"a", {700, 40, 10}}};
  ASSERT_EQ(load("a"), Error::Ok);
  device().streamable = 400 * kMiB;
  executorch::runtime::MemoryAllocator other(0, nullptr);
  Loaded second(make_blob("b"), {}, {}, &other);
  EXPECT_EQ(second.error, Error::Ok);
  EXPECT_EQ(budgets().at("a"), 700);
}

TEST_F(ProgramMemoryTest, OneLineSaysWhatEachGotAndWhatLimitsIt) {
  give_device(700);
  ASSERT_EQ(load("a"), Error::Ok);
  ASSERT_EQ(load("b"), Error::Ok);
  ::testing::internal::CaptureStderr();
  ASSERT_EQ(load("c"), Error::Ok);
  std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("program on fake:0: 734003200 bytes were free"), std::string::npos) << said;
  EXPECT_NE(said.find("a " + std::to_string(engines()[0].budget_bytes) + " of 838860800 ("), std::string::npos) << said;
  EXPECT_NE(said.find("limited by the device's memory"), std::string::npos) << said;
}

// 800 each: b must shrink before a can grow, whatever the order of the engines.
TEST_F(ProgramMemoryTest, ThoseThatShrinkGoFirst) {
  give_device(1100);
  sizes = {{"a", {800, 40, 10}}, {"b", {800, 40, 10}}};
  const auto of = [](int64_t a, int64_t b) {
    return LoadOptions().set_budget("a", a * kMiB).set_budget("b", b * kMiB);
  };
  ASSERT_EQ(load("a", {{"weight_streaming_budget", text(std::to_string(200 * kMiB))}}), Error::Ok);
  ASSERT_EQ(load("b", {{"weight_streaming_budget", text(std::to_string(700 * kMiB))}}), Error::Ok);
  for (const auto& [a, b] : {std::pair{700, 200}, {200, 700}, {800, 0}, {0, 800}}) {
    auto options = of(a, b);
    ASSERT_EQ(executorch::runtime::set_option(kBackendId, options.view()), Error::Ok) << last_error().message;
    EXPECT_EQ(budgets(), (Budgets{{"a", a}, {"b", b}}));
  }
  auto options = of(600, 600);
  EXPECT_EQ(executorch::runtime::set_option(kBackendId, options.view()), Error::MemoryAllocationFailed);
  EXPECT_EQ(budgets(), (Budgets{{"a", 0}, {"b", 800}})) << "all or none";
  EXPECT_NE(last_error().next_step.find("largest budget that fits"), std::string::npos) << last_error().message;
}

TEST_F(ProgramMemoryTest, AutomaticForAllSharesWhatIsFree) {
  give_device(1000);
  sizes = {{"a", {800, 40, 10}}, {"b", {400, 30, 10}}};
  for (const char* name : {"a", "b"}) ASSERT_EQ(load(name, {{"weight_streaming_budget", 0}}), Error::Ok);
  LoadOptions options;
  options.set_reserve(0);
  ASSERT_EQ(executorch::runtime::set_option(kBackendId, options.view()), Error::Ok) << last_error().message;
  EXPECT_NEAR(static_cast<double>(budgets().at("a")), 2.0 * static_cast<double>(budgets().at("b")), 60);
  EXPECT_GE(free_now(), 64);
  EXPECT_LE(free_now(), 64 + 60);
}

}  // namespace
}  // namespace torchtrt_ws::testing
