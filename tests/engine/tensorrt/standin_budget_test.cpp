// Where device memory goes, byte by byte, and what happens when there is not enough.
#include "standin_support.h"

namespace torchtrt_ws::testing {
namespace {

class StandinBudget : public Adapter {};

// Of PlanText: 64 MiB can stream, 1 MiB cannot, scratch 8, context 4.
constexpr int64_t kAll = 64 * kMiB, kFixed = 1 * kMiB, kScratch = 8 * kMiB, kContext = 4 * kMiB;

TEST_F(StandinBudget, DeviceMemoryIsWhatTheBudgetSays) {
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  for (const int64_t budget : {int64_t{0}, kAll, 16 * kMiB, kAll, int64_t{0}, 40 * kMiB}) {
    ASSERT_TRUE(is_ok(engine.set_budget(budget)));
    ASSERT_TRUE(is_ok(engine.make_context()));
    const int64_t held = kFixed + budget + kContext + (budget < kAll ? kScratch : 0);
    EXPECT_EQ(engine_bytes(), held) << "at " << budget;
    EXPECT_GE(engine.device_bytes(), held);
    EXPECT_LE(engine.device_bytes(), standin_live_bytes("device_total")) << "held, and what staging took";
    EXPECT_EQ(engine.budget(), budget);
    engine.drop_context();
    EXPECT_EQ(engine_bytes(), kFixed + (budget == kAll ? kAll : 0)) << "without a context, at " << budget;
  }
}

TEST_F(StandinBudget, MemoryAfterAChangeEqualsThatOfAFreshLoad) {
  for (const int64_t budget : {int64_t{0}, 32 * kMiB, kAll}) {
    int64_t fresh_bytes = 0;
    {
      auto opened = open();
      ASSERT_TRUE(is_ok(opened));
      ASSERT_TRUE(is_ok(opened.value()->set_budget(budget)));
      ASSERT_TRUE(is_ok(opened.value()->make_context()));
      EXPECT_TRUE(runs(*opened.value(), 8));
      fresh_bytes = standin_live_bytes("device_total");
    }
    auto engine = ready();
    ASSERT_NE(engine, nullptr);
    for (const int64_t step : {kAll, int64_t{0}, 8 * kMiB, budget}) {
      EXPECT_TRUE(runs(*engine, 8));
      engine->drop_context();
      ASSERT_TRUE(is_ok(engine->set_budget(step)));
      ASSERT_TRUE(is_ok(engine->make_context()));
    }
    EXPECT_TRUE(runs(*engine, 8));
    EXPECT_EQ(standin_live_bytes("device_total"), fresh_bytes) << "at " << budget;
  }
}

TEST_F(StandinBudget, SettingRunsOutOfMemory) {
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  ASSERT_TRUE(is_ok(engine.set_budget(16 * kMiB)));
  standin_leave_free(0, 40 * kMiB);
  failed_with(engine.set_budget(kAll), ErrorCode::DoesNotFit);
  EXPECT_EQ(engine.budget(), 16 * kMiB);
  ASSERT_TRUE(is_ok(engine.set_budget(20 * kMiB))) << "another budget";
  ASSERT_TRUE(is_ok(engine.make_context()));
  EXPECT_TRUE(runs(engine, 1));
}

TEST_F(StandinBudget, TheContextRunsOutOfMemory) {
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  (void)engine.scratch_bytes();
  standin_leave_free(0, 20 * kMiB);
  ASSERT_TRUE(is_ok(engine.set_budget(16 * kMiB))) << "below full residency setting allocates nothing";
  const std::string message = failed_with(engine.make_context(), ErrorCode::DoesNotFit);
  EXPECT_NE(message.find(std::to_string(20 * kMiB)), std::string::npos) << "says what was free: " << message;
  EXPECT_EQ(engine_bytes(), kFixed) << "nothing stays allocated";
  Tensor x = make_x(1), y = make_y(1);
  Sink sink({&y});
  failed_with(engine.run({x.view()}, sink), ErrorCode::WrongState);
  const int64_t fits = largest_budget_that_fits(engine.memory());
  EXPECT_LE(fits, 8 * kMiB);
  ASSERT_GE(fits, 7 * kMiB) << "the tensors above take a little";
  ASSERT_TRUE(is_ok(engine.set_budget(fits)));
  ASSERT_TRUE(is_ok(engine.make_context())) << "the largest budget that fits does";
}

TEST_F(StandinBudget, NothingFits) {
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  (void)engine.scratch_bytes();
  const int64_t staging = engine.memory().staging;
  standin_leave_free(0, kScratch + kContext - 1);
  ASSERT_TRUE(is_ok(engine.set_budget(0)));
  failed_with(engine.make_context(), ErrorCode::DoesNotFit);
  EXPECT_EQ(largest_budget_that_fits(engine.memory()), -1);
  EXPECT_EQ(least_memory_that_would_do(engine.memory()), kScratch + kContext + staging);
  standin_leave_free(0, kScratch + kContext);
  EXPECT_TRUE(is_ok(engine.make_context())) << "it needs no staging yet";
}

TEST_F(StandinBudget, MemoryFactsDescribeTheDeviceWithoutThisEngine) {
  standin_leave_free(0, 500 * kMiB);
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  EXPECT_EQ(engine.scratch_bytes(), kScratch);
  const int64_t free = engine.memory().free;
  EXPECT_LE(free, 500 * kMiB - kFixed);
  EXPECT_EQ(engine.memory().held, 0);
  for (const int64_t budget : {int64_t{0}, 16 * kMiB, kAll}) {
    engine.drop_context();
    ASSERT_TRUE(is_ok(engine.set_budget(budget)));
    EXPECT_EQ(engine.memory().free, free) << "set";
    ASSERT_TRUE(is_ok(engine.make_context()));
    const MemoryFacts facts = engine.memory();
    EXPECT_EQ(facts.free, free) << "with a context at " << budget;
    EXPECT_EQ(facts.held, kContext + budget + (budget < kAll ? kScratch : 0));
    EXPECT_EQ(facts.context, kContext);
    EXPECT_EQ(facts.scratch, kScratch);
    EXPECT_EQ(facts.streamable, kAll);
    EXPECT_EQ(engine.scratch_bytes(), kScratch);
  }
}

TEST_F(StandinBudget, TheAutomaticBudgetIsTensorRTsOwn) {
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  standin_leave_free(0, 50 * kMiB);
  EXPECT_EQ(engine.automatic_budget().value(), 38 * kMiB);
  standin_set("automatic_budget", 5 * kMiB);
  EXPECT_EQ(engine.automatic_budget().value(), 5 * kMiB);
  standin_set("automatic_budget", int64_t{1} << 60);
  EXPECT_EQ(engine.automatic_budget().value(), kAll);
}

// The most that a run may take is counted, and once it is taken it counts no more.
TEST_F(StandinBudget, StagingIsCountedUntilItIsTaken) {
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  ASSERT_TRUE(is_ok(engine.set_budget(0)));
  ASSERT_TRUE(is_ok(engine.make_context()));
  const int64_t staging = engine.memory().staging;
  EXPECT_GT(staging, 0);
  Tensor x = make_x(8, 0, Where::Pageable), y = make_y(8, Where::Pageable);
  Sink sink({&y});
  ASSERT_TRUE(is_ok(engine.run({x.view()}, sink)));
  EXPECT_EQ(engine.memory().staging, 0) << "8 rows are the most: nothing more is taken";
  EXPECT_LE(standin_live_bytes("device"), staging + kFixed);
}

// To the byte, so that what is planned is enough; also for what a sleeping engine has given back.
TEST_F(StandinBudget, StagingToComeIsWhatRunsTake) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  for (const char* when : {"as loaded", "after its sleep"}) {
    SCOPED_TRACE(when);
    const int64_t to_come = engine->memory().staging, held = standin_live_bytes("device");
    EXPECT_TRUE(runs(*engine, 8, 0, Where::Pageable, Where::Pageable));
    EXPECT_EQ(standin_live_bytes("device") - held, to_come);
    EXPECT_EQ(engine->memory().staging, 0);
    engine->drop_context();
    engine->release_staging();
    const int64_t asleep = standin_live_bytes("device"), again = engine->memory().staging;
    ASSERT_TRUE(is_ok(engine->make_context()));
    const int64_t for_context = standin_live_bytes("device") - asleep;
    EXPECT_EQ(engine->memory().staging + for_context, again);
  }
}

// What the engine holds itself does not count against it.
TEST_F(StandinBudget, TheAutomaticBudgetIsTheSameWhileTheEngineIsLoaded) {
  PlanText text;
  text.streamable = 1024 * kMiB;
  auto opened = open(text);
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  (void)engine.scratch_bytes();
  standin_leave_free(0, 500 * kMiB);
  const int64_t before = engine.automatic_budget().value();
  EXPECT_EQ(before, 500 * kMiB - kContext - kScratch);
  ASSERT_TRUE(is_ok(engine.set_budget(100 * kMiB)));
  ASSERT_TRUE(is_ok(engine.make_context()));
  EXPECT_EQ(engine.automatic_budget().value(), before);
  engine.drop_context();
  EXPECT_EQ(engine.automatic_budget().value(), before);
}

TEST_F(StandinBudget, BudgetsOfMoreThan32Bits) {
  standin_set("device_bytes", int64_t{64} << 30);
  PlanText text;
  text.streamable = (int64_t{6} << 30) + 12345;
  auto opened = open(text);
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  EXPECT_EQ(engine.automatic_budget().value(), text.streamable);
  for (const int64_t budget : {text.streamable - 1, text.streamable, int64_t{5} << 30}) {
    ASSERT_TRUE(is_ok(engine.set_budget(budget)));
    EXPECT_EQ(engine.budget(), budget);
    ASSERT_TRUE(is_ok(engine.make_context()));
    EXPECT_EQ(standin_live_bytes("weights"), kFixed + budget);
    engine.drop_context();
  }
}

TEST_F(StandinBudget, AnEngineWithoutStreamableWeightsIsLeftAlone) {
  PlanText text;
  text.streaming = false;
  text.resident = 10 * kMiB;
  auto opened = open(text);
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  EXPECT_EQ(engine.streamable_bytes(), 0);
  EXPECT_EQ(engine.budget(), 0);
  EXPECT_EQ(engine.scratch_bytes(), 0);
  EXPECT_EQ(engine.automatic_budget().value(), 0);
  EXPECT_TRUE(is_ok(engine.set_budget(0)));
  ASSERT_TRUE(is_ok(engine.make_context()));
  EXPECT_TRUE(runs(engine, 2));
  EXPECT_EQ(standin_calls("setWeightStreamingBudgetV2"), 0);
  EXPECT_EQ(standin_calls("getWeightStreamingAutomaticBudget"), 0);
}

TEST_F(StandinBudget, FullResidencyIsNotTouchedToFindTheScratch) {
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  ASSERT_TRUE(is_ok(engine.set_budget(kAll)));
  ASSERT_TRUE(is_ok(engine.make_context()));
  (void)engine.scratch_bytes();
  (void)engine.memory();
  EXPECT_EQ(engine.budget(), kAll);
  EXPECT_EQ(engine_bytes(), kFixed + kAll + kContext);
}

TEST_F(StandinBudget, StreamedBytesFollowTheBudget) {
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  ASSERT_TRUE(is_ok(engine.set_budget(24 * kMiB)));
  ASSERT_TRUE(is_ok(engine.make_context()));
  EXPECT_TRUE(runs(engine, 1));
  EXPECT_EQ(standin_bytes("streamed"), kAll - 24 * kMiB);
}

TEST_F(StandinBudget, AThousandChangesLeaveNothingBehind) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(runs(*engine, 8));
  const int64_t before = standin_live_bytes("device_total");
  for (int i = 0; i < 1000; ++i) {
    engine->drop_context();
    ASSERT_TRUE(is_ok(engine->set_budget(kAll * (i % 5) / 4)));
    ASSERT_TRUE(is_ok(engine->make_context()));
    if (i % 100 == 0) {
      EXPECT_TRUE(runs(*engine, 1 + i % 8, i));
    }
  }
  engine->drop_context();
  ASSERT_TRUE(is_ok(engine->set_budget(kAll)));
  ASSERT_TRUE(is_ok(engine->make_context()));
  EXPECT_EQ(standin_live_bytes("device_total"), before);
}

}  // namespace
}  // namespace torchtrt_ws::testing
