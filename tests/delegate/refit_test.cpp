// New weights for engines that are loaded: whose they are, who waits, and that all change or none.

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include "fake_engine.h"
#include "mapped_file.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/memory.h"
#include "torchtrt_ws/new_weights.h"

namespace torchtrt_ws::testing {
namespace {

using Calls = std::vector<std::string>;
using executorch::runtime::Error;
using executorch::runtime::MemoryAllocator;

class Refit : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    device().shares = true;
    device().free = 10000;
    device().takes = {"w", "v"};
  }
  void TearDown() override { EXPECT_EQ(device().free, 10000) << "memory was leaked on the device"; }

  static std::vector<uint64_t> all_ids() {
    std::vector<uint64_t> ids;
    for (const EngineReport& report : engines()) ids.push_back(report.id);
    return ids;
  }

  static Error give(const std::vector<uint64_t>& ids, const std::vector<std::pair<std::string, float>>& values,
                    const std::string& engine = "") {
    std::vector<NewWeight> weights;
    for (const auto& [name, value] : values) weights.push_back({name, "float32", 1, &value, sizeof(float)});
    clear_last_error();
    return refit(ids, weights, engine);
  }

  static bool said(const std::string& words) {
    const std::string message = last_error().message;
    if (message.find(words) != std::string::npos) return true;
    ADD_FAILURE() << "no " << words << " in: " << message;
    return false;
  }

  static float answer(Loaded& loaded) {
    EXPECT_EQ(loaded.run(1, 1.0f), Error::Ok) << last_error().message;
    return loaded.output[0];
  }
};

TEST_F(Refit, TheContextGoesMeanwhileAndTheBudgetStays) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", 300}});
  EXPECT_TRUE(engines()[0].refittable);
  EXPECT_EQ(refittable_weights(engines()[0].id)->at(1).name, "v");
  device().calls.clear();
  ASSERT_EQ(give(all_ids(), {{"w", 5.0f}}), Error::Ok) << last_error().message;
  EXPECT_EQ(device().calls, (Calls{"drop", "refit w", "make"}));
  EXPECT_EQ(engines()[0].budget_bytes, 300);
  EXPECT_EQ(engines()[0].source, "load-time");
  EXPECT_EQ(answer(loaded), 5.0f);
}

TEST_F(Refit, AContextThatCannotBeMadeIsMadeByTheNextRun) {
  Loaded loaded(make_blob("e"));
  device().fails_in = 1;
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(give(all_ids(), {{"w", 5.0f}}), Error::Ok) << "the weights are there";
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("warning: without a context until its next run"), std::string::npos) << log;
  EXPECT_EQ(answer(loaded), 5.0f);
}

TEST_F(Refit, EnginesOfAKindThatTakesNoneSaySo) {
  device().takes.clear();
  Loaded loaded(make_blob("e"));
  EXPECT_FALSE(engines()[0].refittable);
  EXPECT_EQ(give(all_ids(), {{"w", 5.0f}}), Error::NotSupported);
  said("engine 'e': found an engine of a kind that keeps the weights it was saved with");
  EXPECT_EQ(refittable_weights(engines()[0].id).error(), Error::NotSupported);
  EXPECT_EQ(give({12345}, {{"w", 5.0f}}), Error::InvalidArgument);
  EXPECT_EQ(refittable_weights(12345).error(), Error::InvalidArgument);
}

TEST_F(Refit, AllContextsOfAProgramChange) {
  MappedFile file(make_blob("e"));
  Loaded first(file.map()), second(file.map());
  device().calls.clear();
  ASSERT_EQ(give(all_ids(), {{"w", 5.0f}, {"v", 1.0f}}), Error::Ok) << last_error().message;
  EXPECT_EQ(device().calls, (Calls{"drop", "drop", "refit w v", "make", "make"}));
  EXPECT_EQ(answer(first), 6.0f);
  EXPECT_EQ(answer(second), 6.0f);
}

TEST_F(Refit, WeightsThatAnotherProgramSharesStay) {
  MappedFile file(make_blob("e"));
  Loaded own(file.map());
  auto other = std::make_optional<Loaded>(file.map());
  device().calls.clear();
  EXPECT_EQ(give({engines()[0].id}, {{"w", 5.0f}}), Error::InvalidState);
  said("another program that shares its weights");
  said("share_engines=False");
  EXPECT_EQ(device().calls, Calls{});
  EXPECT_EQ(answer(own), 2.0f);
  other.reset();
  EXPECT_EQ(give({engines()[0].id}, {{"w", 5.0f}}), Error::Ok) << last_error().message;
  EXPECT_EQ(answer(own), 5.0f);
}

TEST_F(Refit, LaterLoadsHaveTheWeightsOfTheFile) {
  MappedFile file(make_blob("e"));
  Loaded first(file.map());
  ASSERT_EQ(give(all_ids(), {{"w", 5.0f}}), Error::Ok);
  Loaded second(file.map()), third(file.map());
  EXPECT_EQ(answer(first), 5.0f);
  EXPECT_EQ(answer(second), 2.0f);
  EXPECT_EQ(answer(third), 2.0f);
  EXPECT_TRUE(engines()[0].shared_with.empty());
  EXPECT_EQ(engines()[1].shared_with, std::vector<uint64_t>{engines()[2].id}) << "these two have the same";
}

// A load that has found weights to share, and is not live yet, is a sharer too.
TEST_F(Refit, ALoadAtTheSameTimeSharesOrSeesTheWeightsOfTheFile) {
  MappedFile file(make_blob("e"));
  for (int round = 0; round < 50; ++round) {
    Loaded first(file.map());
    const uint64_t id = engines()[0].id;
    auto part = file.map();
    std::optional<Loaded> second;
    std::atomic<bool> go{false};
    std::thread loader([&] {
      while (!go) std::this_thread::yield();
      second.emplace(std::move(part));
    });
    go = true;
    const Error refitted = give({id}, {{"w", 5.0f}});
    loader.join();
    ASSERT_EQ(second->error, Error::Ok);
    EXPECT_EQ(refitted == Error::Ok, engine(id).shared_with.empty());
    EXPECT_EQ(answer(first), refitted == Error::Ok ? 5.0f : 2.0f);
    EXPECT_EQ(answer(*second), 2.0f);
  }
}

class RefitProgram : public Refit {
 protected:
  void SetUp() override {
    Refit::SetUp();
    allocator_.emplace(sizeof(arena_), arena_);
    one_.emplace(make_blob("one", 2), Loaded::Options{}, Loaded::Specs{}, &*allocator_);
    device().takes = {"v", "u"};
    two_.emplace(make_blob("two", 2), Loaded::Options{}, Loaded::Specs{}, &*allocator_);
    device().calls.clear();
  }
  void TearDown() override {
    two_.reset();
    one_.reset();
    Refit::TearDown();
  }

  uint8_t arena_[8192] = {};
  std::optional<MemoryAllocator> allocator_;
  std::optional<Loaded> one_, two_;
};

TEST_F(RefitProgram, EachWeightGoesToTheEngineThatKnowsIt) {
  ASSERT_EQ(give(all_ids(), {{"u", 7.0f}, {"w", 5.0f}}), Error::Ok) << last_error().message;
  EXPECT_EQ(device().calls, (Calls{"drop", "drop", "refit w", "refit u", "make", "make"}));
  EXPECT_EQ(answer(*one_), 5.0f);
  EXPECT_EQ(answer(*two_), 7.0f);
  device().calls.clear();
  ASSERT_EQ(give(all_ids(), {{"w", 6.0f}}), Error::Ok);
  EXPECT_EQ(device().calls, (Calls{"drop", "refit w", "make"})) << "the other engine has nothing to do with it";
}

TEST_F(RefitProgram, WhichOneIsSaidWhereBothKnowIt) {
  EXPECT_EQ(give(all_ids(), {{"v", 7.0f}}), Error::InvalidArgument);
  said("engines 'one' and 'two' take it");
  EXPECT_EQ(give(all_ids(), {{"v", 7.0f}}, "three"), Error::InvalidArgument);
  said("one of one,two");
  EXPECT_EQ(give(all_ids(), {{"w", 7.0f}}, "two"), Error::InvalidArgument);
  said("engine 'two' takes 2: \"v\", \"u\"");
  EXPECT_EQ(device().calls, Calls{});
  EXPECT_EQ(give(all_ids(), {{"v", 7.0f}}, "two"), Error::Ok);
  EXPECT_EQ(answer(*one_), 2.0f);
  EXPECT_EQ(answer(*two_), 7.0f);
}

TEST_F(RefitProgram, WhenOneFailsTheOthersGoBack) {
  device().refit_fails_in = 2;
  EXPECT_EQ(give(all_ids(), {{"w", 5.0f}, {"u", 7.0f}}), Error::Internal);
  EXPECT_EQ(device().calls, (Calls{"drop", "drop", "refit w", "refit u", "undo", "make", "make"}));
  EXPECT_EQ(answer(*one_), 2.0f);
  EXPECT_EQ(answer(*two_), 2.0f);
}

TEST_F(RefitProgram, WhereHostMemoryEndsTheOthersGoBack) {
  device().refit_fails_in = 2;
  device().refit_throws = true;
  EXPECT_EQ(give(all_ids(), {{"w", 5.0f}, {"u", 7.0f}}), Error::MemoryAllocationFailed);
  EXPECT_EQ(device().calls, (Calls{"drop", "drop", "refit w", "refit u", "undo", "make", "make"}));
  EXPECT_EQ(answer(*one_), 2.0f);
  EXPECT_EQ(answer(*two_), 2.0f);
}

TEST_F(Refit, OneThatSleepsWakesWithThem) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", 300}});
  ASSERT_EQ(sleep(all_ids()), Error::Ok);
  device().calls.clear();
  ASSERT_EQ(give(all_ids(), {{"w", 5.0f}}), Error::Ok) << last_error().message;
  EXPECT_EQ(device().calls, Calls{"refit w"});
  EXPECT_TRUE(engines()[0].asleep);
  ASSERT_EQ(wake(all_ids()), Error::Ok);
  EXPECT_EQ(engines()[0].budget_bytes, 300);
  EXPECT_EQ(answer(loaded), 5.0f);
}

TEST_F(Refit, RunsSeeTheOldWeightsOrTheNewOnes) {
  MappedFile file(make_blob("e"));
  std::vector<std::unique_ptr<Loaded>> loaded;
  for (int i = 0; i < 3; ++i) loaded.push_back(std::make_unique<Loaded>(file.map()));
  const std::vector<uint64_t> ids = all_ids();
  ASSERT_EQ(give(ids, {{"w", 1.0f}, {"v", 1.0f}}), Error::Ok);
  std::atomic<bool> done{false};
  std::atomic<int> mixed{0}, runs{0};
  std::vector<std::thread> threads;
  for (auto& each : loaded) {
    threads.emplace_back([&, engine = each.get()] {
      while (!done) {
        if (engine->run(4, 1.0f) != Error::Ok) ++mixed;
        const float first = engine->output[0];
        for (const float value : engine->output) mixed += value != first;
        mixed += first != 2.0f && first != 20.0f;
        ++runs;
      }
    });
  }
  for (int round = 0; round < 40; ++round) {
    const float value = round % 2 == 0 ? 10.0f : 1.0f;
    EXPECT_EQ(give(ids, {{"w", value}, {"v", value}}), Error::Ok) << last_error().message;
    for (const int before = runs; runs == before;) std::this_thread::yield();
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(mixed, 0);
  EXPECT_GE(runs, 40);
}

}  // namespace
}  // namespace torchtrt_ws::testing
