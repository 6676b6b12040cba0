// The arbiter: engines give memory by their priority and get it back, and a device's headroom stays free.

#include "torchtrt_ws/memory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "fake_engine.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"
#include "torchtrt_ws/saved_budgets.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr char kDevice[] = "fake:0";

/// Engines of 160 MiB of weights, 8 of scratch and 2 of context, on a device of 1000 MiB.
class Memory : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    device().free = 1000 * kMiB;
    device().streamable = 160 * kMiB;
    device().scratch = 8 * kMiB;
    device().context = 2 * kMiB;
    device().automatic = 160 * kMiB;
    clear_last_error();
  }
  void TearDown() override { EXPECT_EQ(set_headroom(kDevice, 0), Error::Ok); }

  static Loaded load(const std::string& name, int64_t mebibytes) {
    return Loaded(make_blob(name), {{"weight_streaming_budget", text(std::to_string(mebibytes * kMiB))}});
  }

  static std::vector<uint64_t> ids() {
    std::vector<uint64_t> found;
    for (const EngineReport& report : engines()) found.push_back(report.id);
    return found;
  }

  static void prioritize(size_t engine, int priority) {
    ASSERT_EQ(set_priority({engines()[engine].id}, priority), Error::Ok);
  }

  /// Budgets in MiB, and who decided them.
  using Budgets = std::vector<std::pair<int64_t, std::string>>;
  static Budgets now() {
    Budgets all;
    for (const EngineReport& report : engines()) all.emplace_back(report.budget_bytes / kMiB, report.source);
    return all;
  }

  /// Somebody else takes memory until `mebibytes` are free.
  static void leave_free(int64_t mebibytes) { device().free = mebibytes * kMiB; }

  static int64_t free_mebibytes() { return device().free / kMiB; }
};

TEST_F(Memory, TheLeastImportantGivesAndGetsBack) {
  Loaded a = load("a", 160), b = load("b", 100), c = load("c", 80);
  prioritize(0, 1);
  prioritize(1, -1);
  EXPECT_EQ(engines()[1].priority, -1);
  const Budgets before = now();
  leave_free(10);
  EXPECT_EQ(make_room(kDevice, 10 * kMiB).get(), 0) << "they are free";
  EXPECT_EQ(now(), before);
  EXPECT_EQ(make_room(kDevice, 100 * kMiB).get(), 90 * kMiB);
  EXPECT_EQ(now(), (Budgets{{160, "load-time"}, {10, "make-room"}, {80, "load-time"}}));
  EXPECT_EQ(free_mebibytes(), 100);
  EXPECT_EQ(make_room(kDevice, 100 * kMiB).get(), 0) << "once more is nothing";
  EXPECT_EQ(make_room(kDevice, 150 * kMiB).get(), 50 * kMiB);
  EXPECT_EQ(now(), (Budgets{{160, "load-time"}, {0, "make-room"}, {40, "make-room"}}));
  EXPECT_EQ(engines()[1].wanted_bytes, 100 * kMiB);
  for (Loaded* each : {&a, &b, &c}) EXPECT_EQ(each->run(1, 1.0f), Error::Ok);

  EXPECT_EQ(give_back().get(), 140 * kMiB);
  EXPECT_EQ(now(), before) << "bytes and sources";
  EXPECT_EQ(free_mebibytes(), 10);
  EXPECT_EQ(give_back().get(), 0) << "once more is nothing";
}

TEST_F(Memory, GivingBackIsForTheMostImportantFirstAsFarAsItFits) {
  Loaded a = load("a", 100), b = load("b", 100);
  prioritize(1, 1);
  leave_free(0);
  ASSERT_EQ(make_room(kDevice, 200 * kMiB).get(), 200 * kMiB);
  leave_free(130);
  EXPECT_EQ(give_back().get(), 130 * kMiB);
  EXPECT_EQ(now(), (Budgets{{30, "make-room"}, {100, "load-time"}}));
  leave_free(500);
  EXPECT_EQ(give_back().get(), 70 * kMiB);
  EXPECT_EQ(now(), (Budgets{{100, "load-time"}, {100, "load-time"}}));
}

TEST_F(Memory, WhatDoesNotFitAfterAllIsHalved) {
  Loaded a = load("a", 160);
  leave_free(0);
  ASSERT_EQ(make_room(kDevice, 150 * kMiB).get(), 152 * kMiB);
  device().refusal = ErrorCode::DoesNotFit;
  device().fails_in = 1;  // all of it
  EXPECT_EQ(give_back().get(), 80 * kMiB);
  EXPECT_EQ(now(), (Budgets{{80, "make-room"}}));
  EXPECT_EQ(give_back().get(), 72 * kMiB);
  EXPECT_EQ(now(), (Budgets{{160, "load-time"}}));
}

TEST_F(Memory, ScratchIsWhatFullResidencySaves) {
  Loaded a = load("a", 160);
  leave_free(0);
  EXPECT_EQ(make_room(kDevice, 1).get(), 2 * kMiB) << "150 are kept, and 8 of scratch come";
  EXPECT_EQ(now(), (Budgets{{150, "make-room"}}));
  EXPECT_EQ(make_room(kDevice, 152 * kMiB).get(), 150 * kMiB);
  EXPECT_EQ(free_mebibytes(), 152);
  EXPECT_EQ(give_back().get(), 152 * kMiB);
}

TEST_F(Memory, MoreThanThereIsSaysHowMuchThereIsAndChangesNothing) {
  Loaded a = load("a", 160), b = load("b", 100);
  const Budgets before = now();
  leave_free(10);
  EXPECT_EQ(make_room(kDevice, 263 * kMiB).error(), Error::MemoryAllocationFailed);
  const std::string most = "at most " + std::to_string((10 + 152 + 100) * kMiB) + " bytes";
  EXPECT_NE(last_error().found.find(most), std::string::npos) << last_error().message;
  EXPECT_EQ(now(), before);
  EXPECT_EQ(free_mebibytes(), 10);
  EXPECT_EQ(make_room(kDevice, 262 * kMiB).get(), 252 * kMiB) << "and it is true";
}

TEST_F(Memory, StepsOfAProfileAreKept) {
  Loaded a = load("a", 160);
  ASSERT_EQ(set_steps(ids()[0], {120 * kMiB, 50 * kMiB}), Error::Ok);
  leave_free(0);
  ASSERT_EQ(make_room(kDevice, 5 * kMiB).get(), 32 * kMiB);
  EXPECT_EQ(now()[0].first, 120);
  ASSERT_EQ(make_room(kDevice, 33 * kMiB).get(), 70 * kMiB);
  EXPECT_EQ(now()[0].first, 50);
  leave_free(70);
  ASSERT_EQ(give_back().get(), 70 * kMiB);
  EXPECT_EQ(now()[0].first, 120) << "between the steps nothing is faster";
  EXPECT_EQ(set_steps(ids()[0], {-1}), Error::InvalidArgument);
}

TEST_F(Memory, WrongCallsAreRefused) {
  EXPECT_EQ(make_room(kDevice, 1).error(), Error::InvalidArgument);
  EXPECT_NE(last_error().expected.find("a loaded program"), std::string::npos) << last_error().message;
  Loaded a = load("a", 160);
  EXPECT_EQ(make_room("cuda:7", 1).error(), Error::InvalidArgument);
  EXPECT_EQ(last_error().expected, "one of fake:0");
  EXPECT_EQ(make_room(kDevice, -1).error(), Error::InvalidArgument);
  EXPECT_EQ(set_headroom(kDevice, -1), Error::InvalidArgument);
  EXPECT_EQ(set_headroom("", 1), Error::InvalidArgument);
  EXPECT_EQ(set_priority({ids()[0], 0}, 1), Error::InvalidArgument);
  EXPECT_EQ(set_steps(0, {}), Error::InvalidArgument);
}

TEST_F(Memory, AutomaticBudgetsAreAutomaticAgain) {
  Loaded a(make_blob("a"));
  leave_free(0);
  ASSERT_EQ(make_room(kDevice, 60 * kMiB).get(), 62 * kMiB);
  EXPECT_EQ(now(), (Budgets{{90, "make-room"}}));
  leave_free(62 + 60);
  EXPECT_EQ(give_back().get(), 50 * kMiB) << "of 122, 64 stay free as a margin";
  leave_free(64 + 12);
  EXPECT_EQ(give_back().get(), 12 * kMiB);
  EXPECT_EQ(now(), (Budgets{{160, "automatic"}}));
  EXPECT_TRUE(save_budgets(ids())[0].automatic);
}

TEST_F(Memory, AChangeOfTheUsersOwnIsTheLastWord) {
  Loaded a = load("a", 100);
  leave_free(0);
  ASSERT_EQ(make_room(kDevice, 60 * kMiB).get(), 60 * kMiB);
  LoadOptions options;
  options.set_budget_per_engine(60 * kMiB);
  ASSERT_EQ(set_budget(ids()[0], {options.view().data(), options.view().size()}), Error::Ok);
  EXPECT_EQ(engines()[0].wanted_bytes, 60 * kMiB);
  leave_free(500);
  EXPECT_EQ(give_back().get(), 0);
  EXPECT_EQ(now(), (Budgets{{60, "load-time"}}));
}

TEST_F(Memory, SavedBudgetsRememberWhatWasWanted) {
  Loaded a = load("a", 100);
  leave_free(0);
  ASSERT_EQ(make_room(kDevice, 60 * kMiB).get(), 60 * kMiB);
  const auto saved = save_budgets(ids());
  ASSERT_EQ(give_back().get(), 60 * kMiB);
  ASSERT_EQ(restore_budgets(saved), Error::Ok);
  EXPECT_EQ(now(), (Budgets{{40, "make-room"}}));
  EXPECT_EQ(give_back().get(), 60 * kMiB);
  EXPECT_EQ(now(), (Budgets{{100, "load-time"}}));
}

TEST_F(Memory, EnginesThatSleepOrAreGoneHaveNothingToDoWithIt) {
  Loaded a = load("a", 100), b = load("b", 100);
  {
    Loaded c = load("c", 100);
    leave_free(0);
    ASSERT_EQ(make_room(kDevice, 250 * kMiB).get(), 250 * kMiB);
  }
  ASSERT_EQ(sleep({ids()[1]}), Error::Ok);
  const int64_t wanted = engines()[0].wanted_bytes;
  EXPECT_EQ(wanted, 100 * kMiB);
  leave_free(1000);
  const int64_t had = engines()[0].budget_bytes;
  EXPECT_EQ(give_back().get(), wanted - had) << "to the first alone";
  EXPECT_TRUE(engines()[1].asleep);
  EXPECT_EQ(engines()[1].wanted_bytes, 100 * kMiB);
  EXPECT_EQ(make_room(kDevice, 5000 * kMiB).error(), Error::MemoryAllocationFailed);
  ASSERT_EQ(wake({ids()[1]}), Error::Ok);
  ASSERT_TRUE(give_back().ok());
  EXPECT_EQ(now(), (Budgets{{100, "load-time"}, {100, "load-time"}}));
}

TEST_F(Memory, SharedWeightsGiveOnce) {
  device().shares = true;
  const Loaded::Options options = {{"weight_streaming_budget", text(std::to_string(160 * kMiB))},
                                   {"verify", text("digest")}};
  Loaded a(make_blob("e"), options), b(make_blob("e"), options), c = load("c", 100);
  ASSERT_EQ(engines()[0].shared_with.size(), 1u);
  prioritize(1, 1);  // and so are the weights of both
  leave_free(0);
  EXPECT_EQ(make_room(kDevice, 104 * kMiB).get(), 104 * kMiB) << "100, and 20 less the scratch of two";
  EXPECT_EQ(now(), (Budgets{{140, "make-room"}, {140, "make-room"}, {0, "make-room"}}));
  EXPECT_EQ(a.run(1, 1.0f), Error::Ok);
  EXPECT_EQ(b.run(1, 1.0f), Error::Ok);
  EXPECT_EQ(give_back().get(), 104 * kMiB);
  EXPECT_EQ(now(), (Budgets{{160, "load-time"}, {160, "load-time"}, {100, "load-time"}}));
}

// Every call of the runtime refused in turn. Who refuses keeps its budget, others give instead or nobody does; runs go
// on, and the next try works.
TEST_F(Memory, WhereverTheRuntimeRefusesNothingIsLost) {
  int refused = 0, instead = 0;
  for (const bool giving_back : {false, true}) {
    for (int call = 1; call < 40; ++call) {
      SCOPED_TRACE((giving_back ? "give_back " : "make_room ") + std::to_string(call));
      SetUp();
      Loaded a = load("a", 160), b = load("b", 100), c = load("c", 60);
      prioritize(0, 1);
      leave_free(0);
      const Budgets before = now();
      ASSERT_EQ(giving_back ? make_room(kDevice, 200 * kMiB).ok() : true, true);
      clear_last_error();
      device().fails_in = call;
      const auto done = giving_back ? give_back() : make_room(kDevice, 90 * kMiB);
      const bool unused = device().fails_in > 0;
      device().fails_in = 0;
      for (Loaded* each : {&a, &b, &c}) EXPECT_EQ(each->run(1, 1.0f), Error::Ok);
      if (!done.ok()) {
        ++refused;
        EXPECT_EQ(done.error(), giving_back ? Error::Internal : Error::MemoryAllocationFailed);
        EXPECT_FALSE(last_error().message.empty());
        EXPECT_TRUE(giving_back || now() == before);
      } else if (!giving_back) {
        EXPECT_GE(free_mebibytes(), 90);
        instead += now()[1].second == "load-time";  // b kept its own
      }
      EXPECT_TRUE(giving_back || make_room(kDevice, 90 * kMiB).ok()) << "the next try";
      EXPECT_TRUE(give_back().ok());
      EXPECT_EQ(now(), before);
      EXPECT_EQ(free_mebibytes(), 0);
      if (unused) break;
    }
  }
  EXPECT_GE(refused, 3);
  EXPECT_GE(instead, 2);
}

TEST_F(Memory, HeadroomIsTakenWhenItIsSetAndWithEachLoadAndChange) {
  Loaded a = load("a", 160);
  leave_free(100);
  ASSERT_EQ(set_headroom(kDevice, 120 * kMiB), Error::Ok);
  EXPECT_EQ(headroom(kDevice), 120 * kMiB);
  EXPECT_EQ(headroom("fake:1"), 0);
  EXPECT_EQ(now(), (Budgets{{130, "headroom"}}));
  EXPECT_EQ(free_mebibytes(), 122);
  prioritize(0, -1);
  Loaded b = load("b", 100);
  ASSERT_EQ(b.error, Error::Ok) << "an explicit budget may take it for a moment";
  EXPECT_EQ(now(), (Budgets{{20, "headroom"}, {100, "load-time"}}));
  EXPECT_EQ(free_mebibytes(), 122);
  LoadOptions options;
  options.set_budget_per_engine(110 * kMiB);
  ASSERT_EQ(set_budget(ids()[1], {options.view().data(), options.view().size()}), Error::Ok);
  EXPECT_EQ(now(), (Budgets{{10, "headroom"}, {110, "load-time"}}));
  EXPECT_EQ(free_mebibytes(), 122);
  ASSERT_EQ(set_headroom(kDevice, 0), Error::Ok);
  EXPECT_EQ(give_back().get(), 120 * kMiB);
  EXPECT_EQ(now(), (Budgets{{130, "headroom"}, {110, "load-time"}}));
}

TEST_F(Memory, AutomaticBudgetsLeaveTheHeadroomFree) {
  ASSERT_EQ(set_headroom(kDevice, 900 * kMiB), Error::Ok);
  Loaded a(make_blob("a"));
  EXPECT_EQ(now(), (Budgets{{90, "automatic"}}));
  EXPECT_EQ(free_mebibytes(), 900);
  EXPECT_EQ(automatic_budget(ids()).get(), 90 * kMiB);
}

TEST_F(Memory, HeadroomThatNobodyCanGiveIsNoFailure) {
  Loaded a = load("a", 100);
  leave_free(0);
  EXPECT_EQ(set_headroom(kDevice, 500 * kMiB), Error::Ok);
  EXPECT_EQ(now(), (Budgets{{0, "headroom"}}));
  EXPECT_EQ(follow().get(), 0);
  EXPECT_EQ(a.run(1, 1.0f), Error::Ok);
}

TEST_F(Memory, FollowingTakesAtOnceAndGivesBackSlowly) {
  Loaded a = load("a", 160);
  leave_free(300);
  ASSERT_EQ(set_headroom(kDevice, 100 * kMiB), Error::Ok);
  EXPECT_EQ(follow().get(), 0);
  leave_free(50);
  EXPECT_EQ(follow().get(), 52 * kMiB);
  EXPECT_EQ(now(), (Budgets{{100, "headroom"}}));
  leave_free(120);
  EXPECT_EQ(follow().get(), 0) << "20 MiB more than the headroom";
  leave_free(264);
  EXPECT_EQ(follow().get(), 0) << "the first look that sees enough";
  EXPECT_EQ(follow().get(), -50 * kMiB) << "half of 100";
  EXPECT_EQ(now(), (Budgets{{150, "headroom"}}));
  EXPECT_EQ(follow().get(), -2 * kMiB) << "the rest takes no more than its scratch leaves";
  EXPECT_EQ(now(), (Budgets{{160, "load-time"}}));
}

TEST_F(Memory, FollowingLeavesAloneWhatMakeRoomTook) {
  Loaded a = load("a", 160);
  leave_free(0);
  ASSERT_TRUE(make_room(kDevice, 52 * kMiB).ok());
  ASSERT_EQ(set_headroom(kDevice, 92 * kMiB), Error::Ok);
  EXPECT_EQ(now(), (Budgets{{60, "headroom"}}));
  leave_free(900);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(follow().ok());
  EXPECT_EQ(now(), (Budgets{{100, "make-room"}})) << "the room is still for whom it was made";
  ASSERT_TRUE(give_back().ok());
  EXPECT_EQ(now(), (Budgets{{160, "load-time"}}));
}

TEST_F(Memory, AFollowerLooksByItselfUntilItGoes) {
  Loaded a = load("a", 160);
  leave_free(300);
  ASSERT_EQ(set_headroom(kDevice, 100 * kMiB), Error::Ok);
  leave_free(50);
  {
    const Follower follower(std::chrono::milliseconds(1));
    while (engines()[0].budget_bytes == 160 * kMiB) std::this_thread::yield();  // a test that hangs has failed
  }
  EXPECT_EQ(now(), (Budgets{{100, "headroom"}}));
  leave_free(0);
  EXPECT_EQ(now(), (Budgets{{100, "headroom"}})) << "nobody looks any more";
}

// Under a sanitizer this also finds races.
TEST_F(Memory, EverythingAtOnce) {
  Loaded a = load("a", 100), b = load("b", 100);
  leave_free(100);
  const auto all = ids();
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  const auto run = [&](Loaded& loaded) {
    while (!stop) wrong += loaded.run(1, 2.0f) != Error::Ok || loaded.output[1] != 4.0f;
  };
  std::vector<std::thread> threads;
  threads.emplace_back(run, std::ref(a));
  threads.emplace_back(run, std::ref(b));
  threads.emplace_back([&] {
    const Follower follower(std::chrono::milliseconds(1));
    for (int i = 0; i < 100; ++i) wrong += set_headroom(kDevice, (i % 2 == 0 ? 0 : 120 * kMiB)) != Error::Ok;
  });
  threads.emplace_back([&] {
    for (int i = 0; i < 100; ++i) {
      Loaded own = load("own", 10);
      wrong += own.error != Error::Ok || own.run(1, 1.0f) != Error::Ok;
    }
  });
  for (int i = 0; i < 200; ++i) {
    wrong += !make_room(kDevice, 150 * kMiB).ok();
    wrong += set_priority({all[static_cast<size_t>(i) % 2]}, i) != Error::Ok;
    wrong += !give_back().ok();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(set_headroom(kDevice, 0), Error::Ok);
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(give_back().ok());
  EXPECT_EQ(now(), (Budgets{{100, "load-time"}, {100, "load-time"}}));
}

}  // namespace
}  // namespace torchtrt_ws::testing
