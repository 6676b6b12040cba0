// What a report counts: runs, what they streamed, how the budget came about, and what the engine counts itself.

#include <gtest/gtest.h>

#include "engine/caller_stream.h"
#include "fake_engine.h"
#include "torchtrt_ws/engines.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

class Counters : public ::testing::Test {
 protected:
  void SetUp() override { reset_device(); }

  static EngineReport report() { return engines().at(0); }
};

TEST_F(Counters, EachRunStreamsWhatTheBudgetLeaves) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", text("300")}});
  EXPECT_EQ(report().streamed_bytes, 0u);
  EXPECT_EQ(report().streamed_bytes_per_second, 0);
  ASSERT_EQ(loaded.run(1, 1), Error::Ok);
  ASSERT_EQ(loaded.run(1, 1), Error::Ok);
  EXPECT_EQ(report().runs, 2u);
  EXPECT_EQ(report().streamed_bytes, 1000u);  // twice 800 - 300
  EXPECT_DOUBLE_EQ(report().streamed_bytes_per_second, 1000 / report().seconds);
}

TEST_F(Counters, RunsStreamByTheBudgetOfTheirTime) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", text("300")}});
  ASSERT_EQ(loaded.run(1, 1), Error::Ok);
  executorch::runtime::BackendOption option{};
  std::string("weight_streaming_budget").copy(option.key, sizeof(option.key) - 1);
  option.value = text("800");
  ASSERT_EQ(set_budget(report().id, {&option, 1}), Error::Ok);
  ASSERT_EQ(loaded.run(1, 1), Error::Ok);
  EXPECT_EQ(report().streamed_bytes, 500u);
  EXPECT_EQ(report().runs, 2u);
}

TEST_F(Counters, ARunThatFailsStreamsNothing) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", text("300")}});
  device().fault = true;
  ASSERT_NE(loaded.run(1, 1), Error::Ok);
  EXPECT_EQ(report().streamed_bytes, 0u);
}

TEST_F(Counters, ARunThatReturnedEarlySaysNothingOfTheBandwidth) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", text("300")}});
  static int event;
  device().on_run = [] { note_event(&event); };
  ASSERT_EQ(loaded.run(1, 1), Error::Ok);
  EXPECT_EQ(report().streamed_bytes, 500u);
  EXPECT_EQ(report().streamed_bytes_per_second, 0);
  const double early = report().seconds;
  device().on_run = nullptr;
  ASSERT_EQ(loaded.run(1, 1), Error::Ok);
  EXPECT_NEAR(report().streamed_bytes_per_second * (report().seconds - early), 500, 1e-3);
}

TEST_F(Counters, ABudgetOverAllWeightsIsClippedUntilTheNextDecision) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", text("900")}});
  EXPECT_TRUE(report().clipped);
  executorch::runtime::BackendOption option{};
  std::string("weight_streaming_budget").copy(option.key, sizeof(option.key) - 1);
  option.value = text("800");
  ASSERT_EQ(set_budget(report().id, {&option, 1}), Error::Ok);
  EXPECT_FALSE(report().clipped);
}

TEST_F(Counters, TheLadderCountsItsSteps) {
  constexpr int64_t kMiB = 1 << 20;
  for (int64_t* size : {&device().streamable, &device().scratch, &device().context, &device().automatic}) {
    *size *= kMiB;
  }
  device().free = 1000 * kMiB;
  device().fails_in = 1;
  device().refusal = ErrorCode::DoesNotFit;
  Loaded loaded(make_blob("e"), {{"weight_streaming_reserve", text("0")}});
  ASSERT_EQ(loaded.error, Error::Ok);
  EXPECT_EQ(report().ladder_steps, 1u);
  EXPECT_LT(report().budget_bytes, 800 * kMiB);
}

TEST_F(Counters, WhatTheEngineCountsIsInTheReportOfABusyOneToo) {
  device().counters = {0, 3, 4, 0.5};
  Loaded loaded(make_blob("e"));
  EXPECT_EQ(report().cache_hits, 3u);
  EXPECT_EQ(report().cache_misses, 4u);
  EXPECT_EQ(report().context_seconds, 0.5);
  ASSERT_EQ(loaded.run(1, 1), Error::Ok);
  device().counters.graph_hits = 7;
  ASSERT_EQ(loaded.run(1, 1), Error::Ok);
  uint64_t while_busy = 0;
  device().on_run = [&while_busy] { while_busy = report().graph_hits; };
  ASSERT_EQ(loaded.run(1, 1), Error::Ok);
  EXPECT_EQ(while_busy, 7u);
}

}  // namespace
}  // namespace torchtrt_ws::testing
