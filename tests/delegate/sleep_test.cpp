// Engines that sleep: nothing on the device, no runs, and all as before when they wake.

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "fake_engine.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"
#include "torchtrt_ws/memory.h"
#include "torchtrt_ws/saved_budgets.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;
using Calls = std::vector<std::string>;

std::vector<uint64_t> ids() {
  std::vector<uint64_t> found;
  for (const EngineReport& report : engines()) found.push_back(report.id);
  return found;
}

Error change(const std::vector<uint64_t>& some, LoadOptions options) {
  return set_budgets(some, {options.view().data(), options.view().size()});
}

class Sleep : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    clear_last_error();
  }

  static const Loaded::Options& budget_300() {
    static const Loaded::Options options = {{"weight_streaming_budget", 300}};
    return options;
  }
};

TEST_F(Sleep, AnEngineThatSleepsHoldsNothingAndWakesToWhatItHad) {
  Loaded loaded(make_blob("e"), budget_300());
  const int64_t free = device().free;
  device().calls.clear();
  ASSERT_EQ(sleep(ids()), Error::Ok);
  EXPECT_EQ(device().calls, (Calls{"drop", "set 0"}));
  EXPECT_EQ(device().free, 1000);
  EngineReport report = engines()[0];
  EXPECT_TRUE(report.asleep);
  EXPECT_EQ(report.budget_bytes, 0);
  EXPECT_EQ(report.wanted_bytes, 300);
  EXPECT_EQ(report.device_bytes, 0);
  EXPECT_EQ(report.source, "load-time");
  EXPECT_EQ(sleep(ids()), Error::Ok) << "once more is nothing";

  device().calls.clear();
  ASSERT_EQ(wake(ids()), Error::Ok);
  EXPECT_EQ(device().calls, (Calls{"set 300", "make"}));
  EXPECT_EQ(device().free, free);
  report = engines()[0];
  EXPECT_FALSE(report.asleep);
  EXPECT_EQ(report.budget_bytes, 300);
  EXPECT_EQ(report.source, "load-time");
  EXPECT_EQ(loaded.run(1, 1.0f), Error::Ok);
  EXPECT_EQ(wake(ids()), Error::Ok) << "once more is nothing";
}

TEST_F(Sleep, RunsAndChangesSayToWakeItFirst) {
  Loaded loaded(make_blob("e"), budget_300());
  ASSERT_EQ(sleep(ids()), Error::Ok);
  for (const bool run : {true, false}) {
    clear_last_error();
    EXPECT_EQ(run ? loaded.run(1, 1.0f) : change(ids(), LoadOptions().set_percent(50)), Error::InvalidState);
    EXPECT_NE(last_error().message.find("engine 'e'"), std::string::npos) << last_error().message;
    EXPECT_NE(last_error().message.find("Call wake() first"), std::string::npos) << last_error().message;
  }
  EXPECT_EQ(device().free, 1000);
  ASSERT_EQ(wake(ids()), Error::Ok);
  EXPECT_EQ(engines()[0].budget_bytes, 300);
}

TEST_F(Sleep, OthersMayUseWhatItHad) {
  Loaded sleeper(make_blob("a"), budget_300());
  ASSERT_EQ(sleep(ids()), Error::Ok);
  Loaded other(make_blob("b"), {{"weight_streaming_budget", 800}});
  ASSERT_EQ(other.error, Error::Ok);
  clear_last_error();
  EXPECT_EQ(wake({ids()[0]}), Error::MemoryAllocationFailed) << "300 + 150 where 150 are free";
  EXPECT_NE(last_error().next_step.find("The largest budget that fits is 0 bytes"), std::string::npos)
      << last_error().message;
  EXPECT_TRUE(engines()[0].asleep);
  EXPECT_EQ(engines()[0].wanted_bytes, 300);
  EXPECT_EQ(device().free, 150) << "what it tried to take is given back";
  EXPECT_EQ(other.run(1, 1.0f), Error::Ok);
  ASSERT_EQ(change({ids()[1]}, LoadOptions().set_budget_per_engine(300)), Error::Ok);
  EXPECT_EQ(wake({ids()[0]}), Error::Ok);
  EXPECT_EQ(sleeper.run(1, 1.0f), Error::Ok);
}

TEST_F(Sleep, AnAutomaticBudgetWakesToWhatFits) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_margin", 0}});
  ASSERT_EQ(engines()[0].budget_bytes, 800);
  ASSERT_EQ(sleep(ids()), Error::Ok);
  device().free -= 400;  // somebody else takes it
  ASSERT_EQ(wake(ids()), Error::Ok) << last_error().message;
  EXPECT_EQ(engines()[0].budget_bytes, 1000 - 400 - 150);
  EXPECT_EQ(engines()[0].source, "automatic");
  EXPECT_EQ(loaded.run(1, 1.0f), Error::Ok);
}

// What runs take on the way comes out of the margin of the load.
TEST_F(Sleep, AnAutomaticBudgetThatBecomesSmallerLeavesTheMargin) {
  device().free = 2000;
  const Loaded::Options margin = {{"weight_streaming_margin", 100}};
  Loaded a(make_blob("a"), margin), b(make_blob("b"), margin);
  ASSERT_EQ(engines()[1].budget_bytes, 800);
  ASSERT_EQ(sleep(ids()), Error::Ok);
  device().free -= 500;  // somebody else takes it
  ASSERT_EQ(wake(ids()), Error::Ok) << last_error().message;
  EXPECT_EQ(engines()[0].budget_bytes, 800);
  EXPECT_EQ(engines()[1].budget_bytes, 1500 - 850 - 150 - 100);
  EXPECT_EQ(device().free, 100);
}

TEST_F(Sleep, AWakeThatFailsLeavesWhatEachWakesTo) {
  device().free = 2000;
  Loaded a(make_blob("a"), {{"weight_streaming_margin", 0}}), b(make_blob("b"), {{"weight_streaming_budget", 800}});
  ASSERT_EQ(sleep(ids()), Error::Ok);
  device().free -= 1400;  // somebody else takes it: "a" would take less, "b" does not
  EXPECT_EQ(wake(ids()), Error::MemoryAllocationFailed);
  for (const EngineReport& report : engines()) {
    EXPECT_TRUE(report.asleep);
    EXPECT_EQ(report.wanted_bytes, 800) << report.name;
  }
  device().free += 1400;
  ASSERT_EQ(wake(ids()), Error::Ok);
  for (const EngineReport& report : engines()) EXPECT_EQ(report.budget_bytes, 800) << report.name;
}

TEST_F(Sleep, AnEngineWithoutStreamableWeightsDropsItsContext) {
  device().streamable = 0;
  Loaded loaded(make_blob("e"));
  EXPECT_EQ(device().free, 950);
  device().calls.clear();
  ASSERT_EQ(sleep(ids()), Error::Ok);
  EXPECT_EQ(device().calls, (Calls{"drop"}));
  ASSERT_EQ(wake(ids()), Error::Ok);
  EXPECT_EQ(device().calls, (Calls{"drop", "make"}));
  EXPECT_EQ(engines()[0].source, "none");
  EXPECT_EQ(loaded.run(1, 1.0f), Error::Ok);
}

TEST_F(Sleep, SavedBudgetsAreForWhenItWakes) {
  Loaded loaded(make_blob("e"), budget_300());
  const auto saved = save_budgets(ids());
  ASSERT_EQ(change(ids(), LoadOptions().set_budget_per_engine(100)), Error::Ok);
  ASSERT_EQ(sleep(ids()), Error::Ok);
  ASSERT_EQ(restore_budgets(saved), Error::Ok);
  EXPECT_EQ(device().free, 1000) << "it sleeps on";
  EXPECT_EQ(engines()[0].wanted_bytes, 300);
  const auto of_a_sleeper = save_budgets(ids());
  EXPECT_EQ(of_a_sleeper[0].budget_bytes, 300);
  ASSERT_EQ(wake(ids()), Error::Ok);
  EXPECT_EQ(engines()[0].budget_bytes, 300);
}

TEST_F(Sleep, AnUnknownEngineIsRefused) {
  Loaded loaded(make_blob("e"), budget_300());
  for (Error (*call)(const std::vector<uint64_t>&) : {&sleep, &wake}) {
    EXPECT_EQ(call({ids()[0], 0}), Error::InvalidArgument);
  }
  EXPECT_FALSE(engines()[0].asleep) << "nothing was done for the others";
}

// Every call of the runtime refused in turn: all are as before, or as asked, and the next try works.
TEST_F(Sleep, AllOrNoneWhereverTheRuntimeRefuses) {
  for (const bool to_sleep : {true, false}) {
    int failed = 0;
    for (int call = 1; call < 20; ++call) {
      SCOPED_TRACE((to_sleep ? "sleep " : "wake ") + std::to_string(call));
      reset_device();
      device().free = 10000;
      Loaded a(make_blob("a"), budget_300()), b(make_blob("b"), {{"weight_streaming_budget", 800}}), c(make_blob("c"));
      const auto some = std::vector<uint64_t>{ids()[0], ids()[1]};
      const int64_t awake_free = device().free;
      ASSERT_EQ(to_sleep ? Error::Ok : sleep(some), Error::Ok);
      const int64_t before = device().free;
      clear_last_error();
      device().fails_in = call;
      const Error error = to_sleep ? sleep(some) : wake(some);
      const bool unused = device().fails_in > 0;
      device().fails_in = 0;
      EXPECT_EQ(c.run(1, 1.0f), Error::Ok) << "the other one runs whatever happens";
      if (error != Error::Ok) {
        ++failed;
        EXPECT_EQ(error, Error::Internal);
        EXPECT_FALSE(last_error().next_step.empty());
        EXPECT_EQ(device().free, before);
        EXPECT_EQ(engines()[0].asleep, !to_sleep);
        EXPECT_EQ(engines()[1].asleep, !to_sleep);
        EXPECT_EQ(to_sleep ? sleep(some) : wake(some), Error::Ok) << "the next try";
      }
      ASSERT_EQ(to_sleep ? wake(some) : Error::Ok, Error::Ok);
      EXPECT_EQ(device().free, awake_free);
      EXPECT_EQ(engines()[0].budget_bytes, 300);
      EXPECT_EQ(engines()[1].budget_bytes, 800);
      EXPECT_EQ(a.run(1, 1.0f), Error::Ok);
      EXPECT_EQ(b.run(1, 1.0f), Error::Ok);
      if (unused) break;
    }
    EXPECT_EQ(failed, to_sleep ? 2 : 4);
  }
}

class SleepShared : public Sleep {
 protected:
  void SetUp() override {
    Sleep::SetUp();
    device().free = 2000;
    device().shares = true;
  }

  /// Engines whose digest is the same: the fake takes each one's word for it.
  static Loaded load(Loaded::Options options = {}) {
    options.emplace_back("verify", text("digest"));
    return Loaded(make_blob("e"), options);
  }
};

TEST_F(SleepShared, WeightsStayUntilAllSleep) {
  Loaded a = load(budget_300()), b = load();
  ASSERT_EQ(engines()[0].shared_with.size(), 1u);
  device().calls.clear();
  ASSERT_EQ(sleep({ids()[0]}), Error::Ok);
  EXPECT_EQ(device().calls, (Calls{"drop"})) << "the other one is not disturbed";
  EXPECT_EQ(engines()[1].budget_bytes, 300);
  EXPECT_EQ(a.run(1, 1.0f), Error::InvalidState);
  EXPECT_EQ(b.run(1, 1.0f), Error::Ok);
  ASSERT_EQ(sleep({ids()[1]}), Error::Ok);
  EXPECT_EQ(device().free, 2000);
  ASSERT_EQ(wake({ids()[0]}), Error::Ok);
  EXPECT_EQ(engines()[0].budget_bytes, 300);
  EXPECT_EQ(b.run(1, 1.0f), Error::InvalidState);
  ASSERT_EQ(wake({ids()[1]}), Error::Ok);
  EXPECT_EQ(b.run(1, 1.0f), Error::Ok);
  EXPECT_EQ(device().free, 2000 - 300 - 2 * 150);
}

TEST_F(SleepShared, WakesToWhatTheOthersDecidedMeanwhile) {
  Loaded a = load(budget_300()), b = load();
  ASSERT_EQ(sleep({ids()[0]}), Error::Ok);
  ASSERT_EQ(change({ids()[1]}, LoadOptions().set_budget("e", 100)), Error::Ok);
  EXPECT_EQ(a.run(1, 1.0f), Error::InvalidState) << "a change wakes nobody";
  ASSERT_EQ(sleep({ids()[1]}), Error::Ok);
  EXPECT_EQ(device().free, 2000);
  ASSERT_EQ(wake({ids()[0]}), Error::Ok);
  EXPECT_EQ(engines()[0].budget_bytes, 100);
  EXPECT_EQ(engines()[0].source, "load-time (engine)");
  EXPECT_EQ(a.run(1, 1.0f), Error::Ok);
}

TEST_F(SleepShared, ALoadOnSleepingWeightsDecidesTheirBudget) {
  Loaded a = load(budget_300());
  ASSERT_EQ(sleep(ids()), Error::Ok);
  {
    Loaded b = load({{"weight_streaming_budget", 200}});
    ASSERT_EQ(b.error, Error::Ok);
    EXPECT_EQ(engines()[1].budget_bytes, 200);
    EXPECT_EQ(b.run(1, 1.0f), Error::Ok);
    EXPECT_EQ(a.run(1, 1.0f), Error::InvalidState);
    ASSERT_EQ(wake({ids()[0]}), Error::Ok);
    EXPECT_EQ(a.run(1, 1.0f), Error::Ok);
    ASSERT_EQ(sleep({ids()[0]}), Error::Ok);
    EXPECT_EQ(device().free, 2000 - 200 - 150);
  }
  EXPECT_EQ(device().free, 2000) << "the last one that was awake has gone";
  EXPECT_EQ(engines()[0].wanted_bytes, 200);
  ASSERT_EQ(wake(ids()), Error::Ok);
  EXPECT_EQ(engines()[0].budget_bytes, 200);
}

TEST_F(SleepShared, ReportsOfSleepersAskNothingWhileALoadDecides) {
  Loaded a = load(budget_300());
  ASSERT_EQ(sleep(ids()), Error::Ok);
  int sets = 0;
  device().on_set = [&sets] {
    const int asked = device().asked;
    EXPECT_EQ(engines()[0].budget_bytes, 0) << "what it said before";
    EXPECT_EQ(device().asked, asked) << "the weights were asked while their budget was set";
    ++sets;
  };
  Loaded b = load({{"weight_streaming_budget", 200}});
  device().on_set = nullptr;
  ASSERT_EQ(b.error, Error::Ok);
  EXPECT_GT(sets, 0);
  EXPECT_EQ(engines()[0].budget_bytes, 200);
}

TEST_F(SleepShared, ALoadThatFailsLeavesThemAsleep) {
  device().free = 500;
  Loaded a = load(budget_300());
  ASSERT_EQ(sleep(ids()), Error::Ok);
  EXPECT_EQ(load({{"weight_streaming_budget", 800}}).error, Error::MemoryAllocationFailed);
  EXPECT_EQ(device().free, 500);
  ASSERT_EQ(wake(ids()), Error::Ok);
  EXPECT_EQ(engines()[0].budget_bytes, 300);
}

// Under a sanitizer this also finds races.
TEST_F(Sleep, SleepingAndWakingWhileOthersRun) {
  device().free = 10000;
  Loaded a(make_blob("a"), budget_300()), b(make_blob("b"), budget_300());
  const auto all = ids();
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0}, refused{0};
  std::thread sleeper([&] {
    while (!stop) {
      const Error error = a.run(1, 2.0f);
      refused += error == Error::InvalidState;
      wrong += error != Error::InvalidState && (error != Error::Ok || a.output[1] != 4.0f);
    }
  });
  std::thread other([&] {
    while (!stop) wrong += b.run(1, 2.0f) != Error::Ok;
  });
  int i = 0;
  for (; i < 200 || (refused == 0 && i < 100000); ++i) {
    wrong += sleep({all[0]}) != Error::Ok;
    wrong += wake({all[0]}) != Error::Ok;
  }
  stop = true;
  sleeper.join();
  other.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(refused, 0) << "no run met a sleeping engine in " << i << " rounds";
}

}  // namespace
}  // namespace torchtrt_ws::testing
