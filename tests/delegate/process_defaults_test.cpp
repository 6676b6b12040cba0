// What loads do that were told nothing: the process's defaults, then the environment.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "fake_engine.h"
#include "torchtrt_ws/defaults.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

Error set_process_defaults(LoadOptions options) {
  EXPECT_EQ(options.error(), Error::Ok);
  const auto view = options.view();
  return set_defaults({view.data(), view.size()});
}

Error set_options(LoadOptions options) {
  EXPECT_EQ(options.error(), Error::Ok);
  return executorch::runtime::set_option(kBackendId, options.view());
}

EngineReport report_of(const Loaded& loaded) {
  EXPECT_EQ(loaded.error, Error::Ok) << last_error().message;
  const auto all = engines();
  return all.empty() ? EngineReport{} : all.back();
}

class ProcessDefaults : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    device().free = 10000;
    unsetenv(kBudgetVariable);
  }
  void TearDown() override {
    unsetenv(kBudgetVariable);
    EXPECT_EQ(set_defaults({}), Error::Ok);
  }

  /// Who decided, and what, for an engine with 200 bytes baked in.
  static void expect_baked_200_becomes(int64_t bytes, const std::string& source, const Loaded::Options& options = {}) {
    Loaded loaded(make_blob("e"), options, {{"weight_streaming_budget", "200"}});
    const EngineReport report = report_of(loaded);
    EXPECT_EQ(report.budget_bytes, bytes);
    EXPECT_EQ(report.source, source);
  }
};

TEST_F(ProcessDefaults, EachIsWeakerThanTheOneBefore) {
  expect_baked_200_becomes(200, "baked");
  ASSERT_EQ(setenv(kBudgetVariable, "50%", 1), 0);
  expect_baked_200_becomes(400, "environment");
  ASSERT_EQ(set_process_defaults(LoadOptions().set_budget_per_engine(300)), Error::Ok);
  expect_baked_200_becomes(300, "process default");
  expect_baked_200_becomes(100, "load-time", {{"weight_streaming_budget", 100}});
  expect_baked_200_becomes(50, "load-time (engine)", {{"weight_streaming_budget.e", 50}});
}

TEST_F(ProcessDefaults, AnEmptyVariableSaysNothing) {
  ASSERT_EQ(setenv(kBudgetVariable, "", 1), 0);
  expect_baked_200_becomes(200, "baked");
}

TEST_F(ProcessDefaults, AVariableThatCannotBeReadFailsTheLoad) {
  ASSERT_EQ(setenv(kBudgetVariable, "1GB", 1), 0);
  clear_last_error();
  EXPECT_EQ(Loaded(make_blob("e"), {{"weight_streaming_budget", 100}}).error, Error::InvalidProgram);
  EXPECT_EQ(last_error().subject, kBudgetVariable);
  EXPECT_EQ(last_error().found, "\"1GB\"");
}

TEST_F(ProcessDefaults, TheLastCallCounts) {
  ASSERT_EQ(set_process_defaults(LoadOptions().set_percent(50)), Error::Ok);
  ASSERT_EQ(set_process_defaults(LoadOptions().set_margin(7)), Error::Ok);  // without a budget
  expect_baked_200_becomes(200, "baked");
}

TEST_F(ProcessDefaults, AllButTheBudgetHoldsToo) {
  ASSERT_EQ(set_process_defaults(LoadOptions().set_margin(100).set_reserve(0)), Error::Ok);
  device().free = 600;
  Loaded loaded(make_blob("e"));
  EXPECT_EQ(report_of(loaded).budget_bytes, 600 - 100 - 150);  // the margin, context and scratch
}

TEST_F(ProcessDefaults, AMarginAtLoadIsStronger) {
  ASSERT_EQ(set_process_defaults(LoadOptions().set_margin(100).set_reserve(0)), Error::Ok);
  device().free = 600;
  Loaded loaded(make_blob("e"), {{"weight_streaming_margin", 0}});
  EXPECT_EQ(report_of(loaded).budget_bytes, 600 - 150);
}

TEST_F(ProcessDefaults, SetOptionChangesWhatIsLoadedAndWhatComes) {
  Loaded before(make_blob("e"), {{"weight_streaming_budget", 300}});
  ASSERT_EQ(set_options(LoadOptions().set_percent(50)), Error::Ok);
  EXPECT_EQ(report_of(before).budget_bytes, 400);
  expect_baked_200_becomes(400, "process default");
  // An empty budget, in whatever form, takes the default away.
  ASSERT_EQ(set_options(LoadOptions().add_text("weight_streaming_budget", "")), Error::Ok);
  expect_baked_200_becomes(200, "baked");
}

TEST_F(ProcessDefaults, SetOptionAddsToWhatWasSaid) {
  ASSERT_EQ(set_options(LoadOptions().set_reserve(0)), Error::Ok);
  ASSERT_EQ(set_options(LoadOptions().set_margin(100)), Error::Ok);
  device().free = 600;
  Loaded loaded(make_blob("e"));
  EXPECT_EQ(report_of(loaded).budget_bytes, 600 - 100 - 150);
  EXPECT_EQ(report_of(loaded).source, "process default");
}

TEST_F(ProcessDefaults, AnOptionOfOneEngineIsForTheLiveOneAlone) {
  Loaded before(make_blob("e"), {{"weight_streaming_budget", 300}});
  ASSERT_EQ(set_options(LoadOptions().set_budget("e", 100)), Error::Ok);
  expect_baked_200_becomes(200, "baked");
}

TEST_F(ProcessDefaults, AChangeThatDoesNotFitIsNoDefault) {
  device().free = 600;
  Loaded before(make_blob("e"), {{"weight_streaming_budget", 300}});
  EXPECT_EQ(set_options(LoadOptions().set_budget_per_engine(500)), Error::MemoryAllocationFailed);
  device().free = 10000;
  expect_baked_200_becomes(200, "baked");
}

TEST_F(ProcessDefaults, WhatCannotBeADefaultIsRefusedAndNothingChanges) {
  ASSERT_EQ(set_process_defaults(LoadOptions().set_budget_per_engine(300)), Error::Ok);
  const LoadOptions refused[] = {
      LoadOptions().set_budget("e", 100),           LoadOptions().set_contexts(2),
      LoadOptions().set_percent(50).set_reserve(1), LoadOptions().add_text("weight_streaming_percent", "50%"),
      LoadOptions().add("use_shared_engines", 1),   LoadOptions().set_verify("twice"),
  };
  for (size_t i = 0; i < std::size(refused); ++i) {
    clear_last_error();
    EXPECT_EQ(set_process_defaults(refused[i]), Error::InvalidProgram) << i;
    EXPECT_FALSE(last_error().message.empty()) << i;
  }
  EXPECT_EQ(set_options(LoadOptions().set_contexts(2)), Error::InvalidProgram);
  expect_baked_200_becomes(300, "process default");
}

TEST_F(ProcessDefaults, LoadsAndDefaultsFromManyThreads) {
  std::atomic<bool> stop{false};
  std::thread changes([&] {
    for (int i = 0; !stop; ++i) (void)set_process_defaults(LoadOptions().set_budget_per_engine(i % 2 == 0 ? 100 : 300));
  });
  int other = 0;
  for (int i = 0; i < 200; ++i) {
    Loaded loaded(make_blob("e"), {}, {{"weight_streaming_budget", "100"}});
    const int64_t bytes = report_of(loaded).budget_bytes;
    other += bytes != 100 && bytes != 300;
  }
  stop = true;
  changes.join();
  EXPECT_EQ(other, 0);
}

}  // namespace
}  // namespace torchtrt_ws::testing
