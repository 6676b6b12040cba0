// After load: budgets changed through ExecuTorch's set_option(), all or none.

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "fake_engine.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"
#include "torchtrt_ws/memory.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;
using Calls = std::vector<std::string>;

Error set_options(LoadOptions options) {
  EXPECT_EQ(options.error(), Error::Ok);
  return executorch::runtime::set_option(kBackendId, options.view());
}

class ChangeBudgets : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    device().free = 10000;
  }
};

TEST_F(ChangeBudgets, AChangeDropsTheContextSetsAndMakesItAgain) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", 300}});
  device().calls.clear();
  EXPECT_EQ(set_options(LoadOptions().set_budget_per_engine(100)), Error::Ok);
  EXPECT_EQ(device().calls, (Calls{"drop", "set 100", "make"}));
  EXPECT_EQ(engines()[0].budget_bytes, 100);
  EXPECT_EQ(loaded.run(1, 1.0f), Error::Ok);
}

TEST_F(ChangeBudgets, MemoryAfterAChangeIsThatOfAFreshLoad) {
  for (const int64_t budget : {800, 300, 0, 800}) {
    Loaded loaded(make_blob("e"), {{"weight_streaming_budget", 500}});
    ASSERT_EQ(set_options(LoadOptions().set_budget_per_engine(budget)), Error::Ok);
    const int64_t changed = engines()[0].device_bytes;
    Loaded fresh(make_blob("f"), {{"weight_streaming_budget", static_cast<int>(budget)}});
    EXPECT_EQ(changed, engines()[1].device_bytes) << budget;
  }
}

TEST_F(ChangeBudgets, AChangeThatDoesNotFitLeavesTheOldBudget) {
  device().free = 600;
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", 300}});
  clear_last_error();
  EXPECT_EQ(set_options(LoadOptions().set_budget_per_engine(500)), Error::MemoryAllocationFailed);
  EXPECT_NE(last_error().next_step.find("450 bytes"), std::string::npos) << last_error().message;
  EXPECT_EQ(engines()[0].budget_bytes, 300);
  EXPECT_EQ(engines()[0].source, "load-time");
  EXPECT_EQ(loaded.run(1, 1.0f), Error::Ok);
}

TEST_F(ChangeBudgets, OneKeyChangesOneEngine) {
  Loaded a(make_blob("a"), {{"weight_streaming_budget", 300}}), b(make_blob("b"), {{"weight_streaming_budget", 300}});
  EXPECT_EQ(set_options(LoadOptions().set_budget("b", 100)), Error::Ok);
  EXPECT_EQ(engines()[0].budget_bytes, 300);
  EXPECT_EQ(engines()[1].budget_bytes, 100);
  EXPECT_EQ(engines()[1].source, "load-time (engine)");
}

// Two engines at 300 (+ 150 each) leave 100; at 400 the first fits, the second does not.
TEST_F(ChangeBudgets, WhenOneEngineCannotAllGoBack) {
  device().free = 1000;
  Loaded a(make_blob("a"), {{"weight_streaming_budget", 300}}), b(make_blob("b"), {{"weight_streaming_budget", 300}});
  EXPECT_EQ(set_options(LoadOptions().set_budget_per_engine(400)), Error::MemoryAllocationFailed);
  EXPECT_EQ(engines()[0].budget_bytes, 300);
  EXPECT_EQ(engines()[1].budget_bytes, 300);
  EXPECT_EQ(device().free, 100);
  EXPECT_EQ(a.run(1, 1.0f), Error::Ok);
  EXPECT_EQ(b.run(1, 1.0f), Error::Ok);
}

TEST_F(ChangeBudgets, OneThatSleepsIsSaidBeforeOthersChange) {
  Loaded a(make_blob("a"), {{"weight_streaming_budget", 800}}), b(make_blob("b"), {{"weight_streaming_budget", 300}});
  ASSERT_EQ(sleep({engines()[1].id}), Error::Ok);
  device().calls.clear();
  EXPECT_EQ(set_options(LoadOptions().set_budget_per_engine(100)), Error::InvalidState);
  EXPECT_EQ(device().calls, Calls{});
  EXPECT_EQ(set_options(LoadOptions().set_budget("a", 100)), Error::Ok) << "of which nothing is asked";
}

TEST_F(ChangeBudgets, AMalformedOptionChangesNothing) {
  Loaded loaded(make_blob("e"), {{"weight_streaming_budget", 300}});
  device().calls.clear();
  EXPECT_EQ(set_options(LoadOptions().add_text("weight_streaming_budget", "1GiB")), Error::InvalidProgram);
  EXPECT_EQ(set_options(LoadOptions().set_budget_per_engine(1).set_percent(50)), Error::InvalidProgram);
  EXPECT_TRUE(device().calls.empty());
}

TEST_F(ChangeBudgets, AnEngineThatIsNotThereIsNamed) {
  Loaded loaded(make_blob("e"));
  clear_last_error();
  EXPECT_EQ(set_options(LoadOptions().set_budget("f", 1)), Error::InvalidArgument);
  EXPECT_NE(last_error().message.find("one of e"), std::string::npos) << last_error().message;
}

TEST_F(ChangeBudgets, AnEngineOfAnotherIdIsNotChanged) {
  Loaded a(make_blob("a"), {{"weight_streaming_budget", 300}}), b(make_blob("a"), {{"weight_streaming_budget", 300}});
  LoadOptions options;
  options.set_budget_per_engine(100);
  const auto view = options.view();
  EXPECT_EQ(set_budget(engines()[1].id, {view.data(), view.size()}), Error::Ok);
  EXPECT_EQ(engines()[0].budget_bytes, 300);
  EXPECT_EQ(engines()[1].budget_bytes, 100);
  EXPECT_EQ(set_budget(0, {view.data(), view.size()}), Error::InvalidArgument);
}

// Under a sanitizer this also finds races; without one it shows that nobody runs without a context.
TEST_F(ChangeBudgets, ChangesAndRunsFromManyThreads) {
  Loaded loaded(make_blob("e"));
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::thread runner([&] {
    executorch::runtime::BackendExecutionContext context;
    while (!stop) failures += loaded.run(2, 1.0f) != Error::Ok || loaded.output[3] != 2.0f;
  });
  std::thread changer([&] {
    for (int i = 0; i < 500; ++i) failures += set_options(LoadOptions().set_budget_per_engine(i % 801)) != Error::Ok;
    stop = true;
  });
  runner.join();
  changer.join();
  EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace torchtrt_ws::testing
