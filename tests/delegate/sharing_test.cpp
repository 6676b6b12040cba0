// One copy of the weights for the engines that are the same bytes: who shares, and whose the budget is.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <future>
#include <optional>
#include <thread>

#include "digest/sha256.h"
#include "fake_engine.h"
#include "mapped_file.h"
#include "torchtrt_ws/defaults.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"
#include "torchtrt_ws/memory.h"
#include "torchtrt_ws/saved_budgets.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

std::vector<char> honest_blob(const std::string& name, const std::string& sha256 = sha256_hex("fake engine", 11)) {
  auto blob = make_blob(name);
  const std::string recorded(64, 'a');
  const auto at = std::search(blob.begin(), blob.end(), recorded.begin(), recorded.end());
  EXPECT_NE(at, blob.end());
  std::copy(sha256.begin(), sha256.end(), at);
  return blob;
}

Error change(size_t engine, LoadOptions& options) {
  const auto view = options.view();
  return set_budget(engines()[engine].id, {view.data(), view.size()});
}

class Sharing : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    device().shares = true;
    device().free = kFree;
  }
  void TearDown() override { EXPECT_EQ(device().free, kFree) << "memory was leaked on the device"; }

  static constexpr int64_t kFree = 2000;  // two engines of 800 + 50 would fit
};

TEST_F(Sharing, TheBudgetOfBeforeComesBackForAllOnTheWeights) {
  MappedFile file(make_blob("e"));
  Loaded first(file.map(), {{"weight_streaming_budget", 300}});
  Loaded second(file.map());
  const int64_t free = device().free;
  for (const bool both : {true, false}) {
    const auto saved =
        save_budgets(both ? std::vector{engines()[0].id, engines()[1].id} : std::vector{engines()[1].id});
    LoadOptions options;
    options.set_reserve(0);
    ASSERT_EQ(change(0, options), Error::Ok) << last_error().message;
    ASSERT_EQ(engines()[1].budget_bytes, 800);
    device().calls.clear();
    ASSERT_EQ(restore_budgets(saved), Error::Ok) << last_error().message;
    EXPECT_EQ(std::count(device().calls.begin(), device().calls.end(), "set 300"), 1) << "once for both";
    for (const EngineReport& report : engines()) {
      EXPECT_EQ(report.budget_bytes, 300);
      EXPECT_EQ(report.source, "load-time");
    }
    EXPECT_EQ(device().free, free);
    EXPECT_EQ(first.run(1, 1.0f), Error::Ok);
    EXPECT_EQ(second.run(1, 1.0f), Error::Ok);
  }
}

TEST_F(Sharing, OneFileLoadedTwiceHasItsWeightsOnce) {
  MappedFile file(make_blob("e"));
  Loaded first(file.map(), {{"weight_streaming_budget", 800}});
  EXPECT_EQ(device().free, kFree - 850);
  ::testing::internal::CaptureStderr();
  Loaded second(file.map());
  const std::string said = ::testing::internal::GetCapturedStderr();
  ASSERT_EQ(second.error, Error::Ok);
  EXPECT_EQ(device().free, kFree - 850 - 50) << "a context, and nothing else";
  EXPECT_NE(said.find("shares the weights of 'e', which is loaded already, and their budget of 800 bytes"),
            std::string::npos)
      << said;
  const auto all = engines();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].budget_bytes, 800);
  EXPECT_EQ(all[1].source, "load-time");
  EXPECT_EQ(all[0].shared_with, std::vector<uint64_t>{all[1].id});
  EXPECT_EQ(all[1].shared_with, std::vector<uint64_t>{all[0].id});
  EXPECT_EQ(all[0].device_bytes + all[1].device_bytes, kFree - device().free) << "weights count once";
  EXPECT_EQ(first.run(2, 1.0f), Error::Ok);
  EXPECT_EQ(second.run(3, 2.0f), Error::Ok);
  EXPECT_EQ(second.output[5], 4.0f);
}

TEST_F(Sharing, TheSecondOutlivesTheFirst) {
  MappedFile file(make_blob("e"));
  auto first = std::make_unique<Loaded>(file.map(), Loaded::Options{{"weight_streaming_budget", 300}});
  Loaded second(file.map());
  first.reset();
  EXPECT_EQ(second.run(1, 1.0f), Error::Ok);
  EXPECT_EQ(engines()[0].device_bytes, 300 + 150) << "now it counts the weights";
  EXPECT_TRUE(engines()[0].shared_with.empty());
}

TEST_F(Sharing, ACopyIsTheSameAndAnotherEngineIsNot) {
  device().free = 10 * kFree;
  const Loaded::Options digest = {{"verify", text("digest")}};
  {
    MappedFile file(honest_blob("e")), copy(honest_blob("f"));
    Loaded first(file.map()), second(copy.map());
    EXPECT_EQ(engines()[1].shared_with.size(), 1u) << "the digest of both was computed";
  }
  {
    Loaded first(honest_blob("e"), digest), second(honest_blob("f"));
    EXPECT_EQ(engines()[1].shared_with.size(), 1u) << "in memory of its own, but its digest is known";
  }
  {
    Loaded first(honest_blob("e")), second(honest_blob("f"));
    EXPECT_TRUE(engines()[1].shared_with.empty()) << "nobody computed the first one's";
  }
  {
    auto other = honest_blob("f");  // claims the digest of the first, and has other bytes
    other.back() = 'E';
    MappedFile file(honest_blob("e")), hostile(other);
    Loaded first(file.map()), second(hostile.map());
    EXPECT_EQ(second.error, Error::Ok);
    EXPECT_TRUE(engines()[1].shared_with.empty()) << "what a file claims is not believed";
  }
  device().free = kFree;
}

TEST_F(Sharing, ADamagedCopyIsRefusedWhereTheFirstWasNotCompared) {
  MappedFile file(make_blob("e"));  // its digest is no digest of it
  Loaded first(file.map(), {{"verify", text("off")}});
  Loaded second(file.map(), {{"verify", text("digest")}});
  EXPECT_EQ(second.error, Error::InvalidProgram) << last_error().message;
  EXPECT_EQ(engines().size(), 1u);
}

TEST_F(Sharing, CanBeSwitchedOffByEither) {
  MappedFile file(make_blob("e"));
  const Loaded::Options off = {{"use_shared_engines", false}, {"weight_streaming_budget", 100}};
  {
    Loaded first(file.map(), off), second(file.map());
    EXPECT_TRUE(engines()[1].shared_with.empty());
  }
  Loaded first(file.map(), {{"weight_streaming_budget", 100}}), second(file.map(), off);
  EXPECT_TRUE(engines()[1].shared_with.empty());
  EXPECT_EQ(Loaded(file.map(), {{"use_shared_engines", 1}}).error, Error::InvalidProgram);
}

TEST_F(Sharing, AnotherBudgetIsAnsweredWithAWarning) {
  MappedFile file(make_blob("e"));
  Loaded first(file.map(), {{"weight_streaming_budget", 300}});
  ::testing::internal::CaptureStderr();
  Loaded second(file.map(), {{"weight_streaming_percent", 50}});
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("warning: asked for 400 bytes, but it shares"), std::string::npos) << said;
  EXPECT_NE(said.find("use_shared_engines off"), std::string::npos) << said;
  EXPECT_EQ(engines()[1].budget_bytes, 300);
}

// What make_room() took is the weights', and outlives the load that it was taken of.
TEST_F(Sharing, WhatWasTakenOfThemIsKnownToALaterLoad) {
  for (const bool changes : {false, true}) {
    MappedFile file(make_blob("e"));
    std::optional<Loaded> first;
    first.emplace(file.map(), Loaded::Options{{"weight_streaming_budget", 800}});
    ASSERT_TRUE(make_room("fake:0", 1500).ok()) << last_error().message;
    Loaded second(file.map());
    EXPECT_EQ(engines()[1].source, "make-room");
    EXPECT_EQ(engines()[1].wanted_bytes, 800);
    if (changes) {
      device().fails_in = 1;
      LoadOptions options;
      EXPECT_NE(change(1, options.set_budget_per_engine(500)), Error::Ok);
      device().fails_in = 0;
    } else {
      first.reset();
    }
    ASSERT_TRUE(give_back().ok());
    EXPECT_EQ(engines()[0].budget_bytes, 800);
    EXPECT_EQ(engines()[0].source, "load-time");
  }
}

TEST_F(Sharing, AChangeIsForAllAndTheirContextsComeBack) {
  MappedFile file(make_blob("e"));
  Loaded first(file.map(), {{"weight_streaming_budget", 300}}), second(file.map());
  LoadOptions options;
  options.set_percent(25);
  device().calls.clear();
  ASSERT_EQ(change(1, options), Error::Ok) << last_error().message;
  EXPECT_EQ(device().calls, (std::vector<std::string>{"drop", "drop", "set 200", "make", "make"}));
  for (const EngineReport& report : engines()) {
    EXPECT_EQ(report.budget_bytes, 200);
    EXPECT_EQ(report.source, "load-time");
  }
  EXPECT_EQ(first.run(1, 1.0f), Error::Ok);
  EXPECT_EQ(second.run(1, 1.0f), Error::Ok);
}

TEST_F(Sharing, AChangeThatLeavesNoRoomForTheOthersContextGoesBack) {
  MappedFile file(make_blob("e"));
  Loaded first(file.map(), {{"weight_streaming_budget", 300}}), second(file.map());
  // 500 + 150 would fit in what is free without both, but not with a second context of 150.
  const int64_t taken = device().free - 60;
  device().free -= taken;
  LoadOptions options;
  options.set_budget_per_engine(400);
  EXPECT_EQ(change(0, options), Error::MemoryAllocationFailed);
  EXPECT_EQ(engines()[0].budget_bytes, 300);
  EXPECT_EQ(first.run(1, 1.0f), Error::Ok);
  EXPECT_EQ(second.run(1, 1.0f), Error::Ok);
  device().free += taken;
}

TEST_F(Sharing, AContextThatCannotBeMadeIsAnErrorAndTheFirstRunsOn) {
  MappedFile file(make_blob("e"));
  Loaded first(file.map(), {{"weight_streaming_budget", 300}});
  const int64_t taken = device().free - 100;  // 150 are needed
  device().free -= taken;
  clear_last_error();
  Loaded second(file.map());
  EXPECT_EQ(second.error, Error::MemoryAllocationFailed);
  EXPECT_NE(last_error().message.find("150 bytes for an execution context on the weights of 'e'"), std::string::npos)
      << last_error().message;
  EXPECT_EQ(first.run(1, 1.0f), Error::Ok);
  EXPECT_EQ(engines().size(), 1u);
  device().free += taken;
}

// The first took what is free; its budget was automatic, so it gives way to the second one's context.
TEST_F(Sharing, AnAutomaticBudgetMakesRoomForTheSecondContext) {
  device().free = 600;
  device().automatic = 450;
  MappedFile file(make_blob("e"));
  Loaded first(file.map());
  EXPECT_EQ(engines()[0].budget_bytes, 450);
  Loaded second(file.map());
  ASSERT_EQ(second.error, Error::Ok) << last_error().message;
  EXPECT_EQ(engines()[0].budget_bytes, 600 - 2 * 150);
  EXPECT_EQ(first.run(1, 1.0f), Error::Ok);
  EXPECT_EQ(second.run(1, 1.0f), Error::Ok);
  device().free += kFree - 600;
}

// Destroyed, but not gone: it waits for its run to end.
TEST_F(Sharing, AChangeWaitsForAContextThatIsGoing) {
  MappedFile file(make_blob("e"));
  Loaded first(file.map(), {{"weight_streaming_budget", 300}});
  auto second = std::make_unique<Loaded>(file.map());
  std::promise<void> entered, release;
  device().on_run = [&] {
    device().on_run = nullptr;
    entered.set_value();
    release.get_future().wait();
  };
  std::thread runner([&] { EXPECT_EQ(second->run(1, 1.0f), Error::Ok); });
  entered.get_future().wait();
  executorch::runtime::DelegateHandle* going = std::exchange(second->handle, nullptr);
  std::thread destroyer([&] { backend().destroy(going); });
  std::thread changer([&] {
    LoadOptions options;
    options.set_budget_per_engine(800);
    EXPECT_EQ(change(0, options), Error::Ok) << last_error().message;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // both wait by then, in whatever order
  release.set_value();
  for (std::thread* thread : {&runner, &destroyer, &changer}) thread->join();
  EXPECT_EQ(engines().size(), 1u);
  EXPECT_EQ(engines()[0].budget_bytes, 800);
  EXPECT_EQ(first.run(1, 1.0f), Error::Ok);
}

// What it keeps is decided once: the contexts that follow move nothing.
TEST_F(Sharing, AnAutomaticBudgetLeavesRoomForTheContextsThatWereAnnounced) {
  device().free = 600;
  device().automatic = 450;
  MappedFile file(make_blob("e"));
  const Loaded::Options two = {{"contexts", 2}};
  Loaded first(file.map(), two);
  EXPECT_EQ(engines()[0].budget_bytes, 600 - 2 * 150);
  Loaded second(file.map(), two);
  ASSERT_EQ(second.error, Error::Ok) << last_error().message;
  EXPECT_EQ(engines()[0].budget_bytes, 600 - 2 * 150);
  device().free += kFree - 600;
}

TEST_F(Sharing, TheProcessDecidesForLoadsThatDoNotSay) {
  MappedFile file(make_blob("e"));
  LoadOptions apart;
  apart.set_share_engines(false);
  ASSERT_EQ(set_defaults({apart.view().data(), apart.view().size()}), Error::Ok);
  Loaded first(file.map()), second(file.map());
  EXPECT_TRUE(engines()[1].shared_with.empty());
  Loaded third(file.map(), {{"use_shared_engines", true}}), fourth(file.map(), {{"use_shared_engines", true}});
  EXPECT_FALSE(engines()[3].shared_with.empty());
}

TEST_F(Sharing, AnotherCountOfContextsIsRefused) {
  MappedFile file(make_blob("e"));
  for (const int count : {0, -1, 1025})
    EXPECT_EQ(Loaded(file.map(), {{"contexts", count}}).error, Error::InvalidProgram) << count;
  EXPECT_EQ(Loaded(file.map(), {{"contexts", true}}).error, Error::InvalidProgram);
}

TEST_F(Sharing, LoadsAtTheSameTimeMakeOneEngine) {
  MappedFile file(make_blob("e"));
  std::vector<executorch::runtime::FreeableBuffer> maps;
  for (int i = 0; i < 8; ++i) maps.push_back(file.map());
  std::vector<std::optional<Loaded>> loaded(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < loaded.size(); ++i) {
    threads.emplace_back(
        [&, i] { loaded[i].emplace(std::move(maps[i]), Loaded::Options{{"weight_streaming_budget", 800}}); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(device().free, kFree - 800 - 8 * int64_t{50});
}

TEST_F(Sharing, RunsChangesAndLoadsFromManyThreads) {
  MappedFile file(make_blob("e"));
  std::vector<executorch::runtime::FreeableBuffer> maps;
  for (int i = 0; i < 50; ++i) maps.push_back(file.map());
  Loaded first(file.map(), {{"weight_streaming_budget", 100}}), second(file.map());
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (Loaded* engine : {&first, &second}) {
    threads.emplace_back([&, engine] {
      while (!stop) failures += engine->run(2, 1.0f) != Error::Ok || engine->output[3] != 2.0f;
    });
  }
  threads.emplace_back([&] {
    LoadOptions options[2];
    options[0].set_budget_per_engine(0);
    options[1].set_budget_per_engine(800);
    for (int i = 0; i < 200; ++i) failures += change(0, options[i % 2]) != Error::Ok;
  });
  threads.emplace_back([&] {
    for (auto& map : maps) {
      Loaded third(std::move(map));
      failures += third.run(1, 1.0f) != Error::Ok;
    }
  });
  threads[2].join();
  threads[3].join();
  stop = true;
  threads[0].join();
  threads[1].join();
  EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace torchtrt_ws::testing
