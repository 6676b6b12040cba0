// Going back to the budgets of before, and what an automatic budget would be.

#include "torchtrt_ws/saved_budgets.h"

#include <gtest/gtest.h>

#include "fake_engine.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

constexpr int64_t kMiB = int64_t{1} << 20;

/// Two engines of one program, 800 MiB of weights each, 40 of scratch and 10 of context.
class SavedBudgets : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    device().free = 1000 * kMiB;
    device().streamable = 800 * kMiB;
    device().scratch = 40 * kMiB;
    device().context = 10 * kMiB;
    device().automatic = 0;
  }

  Loaded load(const std::string& name, const Loaded::Options& options = {}) {
    const std::string all = std::to_string(1600 * kMiB), one = std::to_string(800 * kMiB);
    return Loaded(make_blob(name, 2, all, one), options, {}, &program_);
  }

  static std::vector<uint64_t> ids() {
    std::vector<uint64_t> found;
    for (const EngineReport& report : engines()) found.push_back(report.id);
    return found;
  }

  static Error change(LoadOptions options) { return change_of(ids(), std::move(options)); }

  static Error change_of(const std::vector<uint64_t>& some, LoadOptions options) {
    const auto view = options.view();
    return set_budgets(some, {view.data(), view.size()});
  }

  static std::vector<std::pair<int64_t, std::string>> now() {
    std::vector<std::pair<int64_t, std::string>> all;
    for (const EngineReport& report : engines()) all.emplace_back(report.budget_bytes, report.source);
    return all;
  }

 private:
  executorch::runtime::MemoryAllocator program_{0, nullptr};
};

TEST_F(SavedBudgets, BytesAndSourceComeBack) {
  Loaded a = load("a"), b = load("b", {{"weight_streaming_budget", text(std::to_string(100 * kMiB))}});
  const auto before = now();
  EXPECT_EQ(before[0].second, "automatic");
  const auto saved = save_budgets(ids());
  for (LoadOptions options : {LoadOptions().set_percent(10), LoadOptions().set_budget("b", 700 * kMiB),
                              LoadOptions().set_reserve(0), LoadOptions().set_budget("a", 700 * kMiB)}) {
    ASSERT_EQ(change(std::move(options)), Error::Ok) << last_error().message;
    EXPECT_NE(now(), before);
    ASSERT_EQ(restore_budgets(saved), Error::Ok) << last_error().message;
    EXPECT_EQ(now(), before);
    EXPECT_EQ(a.run(1, 1.0f), Error::Ok);
    EXPECT_EQ(b.run(1, 1.0f), Error::Ok);
  }
}

// An automatic budget stays one, which the others may move; an explicit one stays explicit.
TEST_F(SavedBudgets, WhatWasAutomaticMovesAgain) {
  Loaded a = load("a"), b = load("b", {{"weight_streaming_budget", 0}});
  const int64_t whole = now()[0].first;
  const auto saved = save_budgets(ids());
  ASSERT_EQ(change(LoadOptions().set_budget("a", 100 * kMiB)), Error::Ok);
  ASSERT_EQ(restore_budgets(saved), Error::Ok);
  ASSERT_EQ(change(LoadOptions().set_budget("b", 700 * kMiB)), Error::Ok) << last_error().message;
  EXPECT_LT(now()[0].first, whole);
  ASSERT_EQ(restore_budgets(saved), Error::Ok) << last_error().message;
  EXPECT_EQ(change(LoadOptions().set_budget("a", 700 * kMiB)), Error::Ok);
  EXPECT_EQ(change(LoadOptions().set_budget("b", 700 * kMiB)), Error::MemoryAllocationFailed) << "a is explicit now";
}

TEST_F(SavedBudgets, WhatDidNotChangeIsLeftAlone) {
  Loaded a = load("a"), b = load("b");
  const auto saved = save_budgets(ids());
  device().calls.clear();
  EXPECT_EQ(restore_budgets(saved), Error::Ok);
  EXPECT_TRUE(device().calls.empty());
}

TEST_F(SavedBudgets, WhoIsGoneIsLeftOut) {
  std::vector<SavedBudget> saved;
  {
    Loaded a = load("a");
    saved = save_budgets({ids()[0], 0});
    ASSERT_EQ(saved.size(), 1u);
  }
  EXPECT_EQ(restore_budgets(saved), Error::Ok);
}

TEST_F(SavedBudgets, AFailureNamesTheEngineAndTheOthersAreRestored) {
  const auto bytes = text(std::to_string(300 * kMiB));
  Loaded a = load("a", {{"weight_streaming_budget", bytes}}), b = load("b", {{"weight_streaming_budget", bytes}});
  const auto saved = save_budgets(ids());
  ASSERT_EQ(change(LoadOptions().set_budget("a", 0).set_budget("b", 400 * kMiB)), Error::Ok);
  const int64_t taken = device().free - 150 * kMiB;  // by somebody else: of what `a` wants 250 MiB remain
  device().free -= taken;
  clear_last_error();
  EXPECT_EQ(restore_budgets(saved), Error::MemoryAllocationFailed);
  EXPECT_EQ(last_error().subject, "engine 'a'");
  EXPECT_NE(last_error().found.find("no way back to its budget of 314572800 bytes"), std::string::npos)
      << last_error().message;
  EXPECT_EQ(now()[1].first, 300 * kMiB);
  device().free += taken;
  EXPECT_EQ(restore_budgets(saved), Error::Ok) << last_error().message;
  EXPECT_EQ(now()[0].first, 300 * kMiB);
}

TEST_F(SavedBudgets, WhatCannotComeBackLeavesAnEngineThatRuns) {
  Loaded a = load("a", {{"weight_streaming_budget", text(std::to_string(500 * kMiB))}});
  const auto saved = save_budgets(ids());
  ASSERT_EQ(change(LoadOptions().set_budget("a", 100 * kMiB)), Error::Ok);
  device().free = 100 * kMiB;  // somebody else
  EXPECT_EQ(restore_budgets(saved), Error::MemoryAllocationFailed);
  EXPECT_EQ(now()[0], (std::pair<int64_t, std::string>(100 * kMiB, "load-time (engine)")));
  EXPECT_EQ(device().free, 100 * kMiB);
  EXPECT_EQ(a.run(1, 1.0f), Error::Ok) << last_error().message;
}

TEST_F(SavedBudgets, AnotherSourceIsRefused) {
  Loaded a = load("a");
  auto saved = save_budgets(ids());
  saved[0].source = "me";
  EXPECT_EQ(restore_budgets(saved), Error::InvalidArgument);
}

// `a` is automatic, and makes room for `c`; then `b` turns out not to fit.
TEST_F(SavedBudgets, AChangeThatFailsPutsBackTheEnginesThatMadeRoom) {
  Loaded a = load("a"), b = load("b", {{"weight_streaming_budget", 0}});
  device().streamable = 500 * kMiB;
  Loaded c = load("c", {{"weight_streaming_budget", 0}});
  const auto before = now();
  const int64_t free = device().free;
  const auto saved = save_budgets(ids());
  ASSERT_EQ(change(LoadOptions().set_budget("c", 450 * kMiB)), Error::Ok) << last_error().message;
  ASSERT_LT(now()[0].first, before[0].first) << "`a` makes no room, and this test shows nothing";
  ASSERT_EQ(restore_budgets(saved), Error::Ok);
  EXPECT_EQ(change_of({ids()[1], ids()[2]}, LoadOptions().set_budget("c", 450 * kMiB).set_budget("b", 800 * kMiB)),
            Error::MemoryAllocationFailed);
  EXPECT_EQ(now(), before);
  EXPECT_EQ(device().free, free);
}

TEST_F(SavedBudgets, TheAutomaticBudgetIsWhatAChangeToItGives) {
  Loaded a = load("a"), b = load("b");
  const auto sum = [] {
    int64_t all = 0;
    for (const EngineReport& report : engines()) all += report.budget_bytes;
    return all;
  };
  for (LoadOptions options : {LoadOptions().set_percent(0), LoadOptions().set_budget("a", 700 * kMiB)}) {
    ASSERT_EQ(change(std::move(options)), Error::Ok);
    device().calls.clear();
    const auto asked = automatic_budget(ids());
    ASSERT_TRUE(asked.ok());
    EXPECT_TRUE(device().calls.empty()) << "nothing was changed to find out";
    ASSERT_EQ(change(LoadOptions().set_reserve(0)), Error::Ok);
    EXPECT_NEAR(static_cast<double>(asked.get()), static_cast<double>(sum()), 800.0 * kMiB / 16);
    EXPECT_EQ(asked.get(), (1000 - 64 - 100) * kMiB);
  }
  EXPECT_EQ(automatic_budget(ids(), 0).get(), 900 * kMiB);
  EXPECT_EQ(automatic_budget(ids(), 5000 * kMiB).get(), 0);
  EXPECT_EQ(automatic_budget({0}).error(), Error::InvalidArgument);
}

TEST_F(SavedBudgets, ASingleEngineMayChooseMore) {
  const std::string one = std::to_string(800 * kMiB);
  device().free = 500 * kMiB;
  device().automatic = 440 * kMiB;
  Loaded loaded(make_blob("a", 1, one, one), {{"weight_streaming_budget", 0}});
  EXPECT_EQ(automatic_budget(ids()).get(), 440 * kMiB) << "more than 386, and it fits";
  ASSERT_EQ(change(LoadOptions().set_reserve(0)), Error::Ok);
  EXPECT_EQ(now()[0].first, 440 * kMiB);
  EXPECT_EQ(automatic_budget(ids()).get(), 440 * kMiB) << "the same when it has it";
  EXPECT_EQ(automatic_budget(ids(), 100 * kMiB).get(), 350 * kMiB);
}

}  // namespace
}  // namespace torchtrt_ws::testing
