#include "budget/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

namespace torchtrt_ws {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
using Budgets = std::vector<int64_t>;

int64_t taken(const std::vector<Demand>& demands, const Budgets& budgets, Working working = Working::Apart) {
  int64_t sum = 0, most = 0;
  for (size_t i = 0; i < demands.size(); ++i) {
    const int64_t own = demands[i].context + (budgets[i] < demands[i].streamable ? demands[i].scratch : 0);
    most = std::max(most, own);
    sum += budgets[i] + demands[i].staging + (working == Working::Apart ? own : 0);
  }
  return working == Working::Apart ? sum : sum + most;
}

TEST(MemoryPlan, EverythingIsResidentWhereItFits) {
  const std::vector<Demand> demands = {{800, 100, 50}, {200, 60, 10}};
  EXPECT_EQ(plan_memory(1060, demands).budgets, (Budgets{800, 200}));
  EXPECT_EQ(plan_memory(1060, demands).left, 0);
  EXPECT_EQ(plan_memory(1059, demands).budgets[0], 1059 - 60 - 200 - 100) << "the small one has no use for streaming";
}

TEST(MemoryPlan, OneEngineGetsAllThatIsLeft) {
  EXPECT_EQ(plan_memory(600, {{800, 100, 50}}).budgets, (Budgets{450}));
  EXPECT_EQ(plan_memory(150, {{800, 100, 50}}).budgets, (Budgets{0}));
  EXPECT_EQ(plan_memory(150, {{800, 100, 50}}).left, 0);
}

TEST(MemoryPlan, TheRestIsSplitInProportion) {
  const MemoryPlan plan = plan_memory(550, {{800, 10, 20}, {400, 10, 20}});
  EXPECT_EQ(plan.budgets, (Budgets{326, 163}));
  EXPECT_EQ(plan.left, 1) << "what division left over";
}

TEST(MemoryPlan, WhatOneCannotUseGoesToTheOthers) {
  // 1000 bytes: half each would be 500; b has no more than 100 to keep.
  EXPECT_EQ(plan_memory(1000, {{2000, 0, 0}, {100, 0, 0}}).budgets, (Budgets{952, 47}));
  EXPECT_EQ(plan_memory(1000, {{2000, 0, 0}, {100, 90, 0}}).budgets, (Budgets{900, 100})) << "47 + 90 is more than 100";
}

TEST(MemoryPlan, AnEngineWithMoreScratchThanWeightsIsNeverStreamed) {
  EXPECT_EQ(plan_memory(120, {{100, 100, 0}, {1000, 20, 0}}).budgets, (Budgets{100, 0}));
}

TEST(MemoryPlan, TooLittleForAllSaysHowMuchIsMissing) {
  const MemoryPlan plan = plan_memory(100, {{800, 100, 50}, {400, 60, 10}});
  EXPECT_EQ(plan.budgets, (Budgets{0, 0}));
  EXPECT_EQ(plan.left, 100 - 220);
}

TEST(MemoryPlan, NothingToPlan) {
  EXPECT_EQ(plan_memory(100, {}).left, 100);
  EXPECT_EQ(plan_memory(100, {{0, 0, 30}}).budgets, (Budgets{0}));
  EXPECT_EQ(plan_memory(100, {{0, 0, 30}}).left, 70);
}

TEST(MemoryPlan, SizesAtTheEdgeOfTheTypeDoNotOverflow) {
  const std::vector<Demand> huge(4, {kMax, kMax, kMax});
  EXPECT_EQ(plan_memory(kMax, huge).left, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(plan_memory(kMax, {{kMax, 1, 0}, {kMax, 1, 0}}).budgets, (Budgets{kMax / 2 - 1, kMax / 2 - 1}));
  EXPECT_EQ(still_to_come(3, -1, huge).streamable, kMax);
}

TEST(MemoryPlan, InOneBlockScratchIsPaidOnce) {
  const std::vector<Demand> three(3, {500, 64, 8});
  EXPECT_EQ(plan_memory(166, three).left, 166 - 3 * 72) << "apart they do not fit";
  EXPECT_EQ(plan_memory(166, three, Working::InOneBlock).budgets, (Budgets{31, 31, 31}));
  EXPECT_EQ(plan_memory(72, three, Working::InOneBlock).left, 0);
  EXPECT_EQ(plan_memory(1508, three, Working::InOneBlock).budgets, (Budgets{500, 500, 500}));
}

// 95 of 100 bytes and the scratch of 30 would be the hole, but the scratch is there for the other engine anyway.
TEST(MemoryPlan, InOneBlockAnEngineBecomesResidentWhereTheOthersLeaveRoom) {
  const MemoryPlan plan = plan_memory(1050, {{1000, 60, 0}, {100, 30, 0}}, Working::InOneBlock);
  EXPECT_EQ(plan.budgets, (Budgets{890, 100}));
  EXPECT_EQ(plan.left, 0);
}

class PlanProperties : public ::testing::TestWithParam<Working> {};

// What must hold whatever the sizes are.
TEST_P(PlanProperties, HoldForManyDemands) {
  const Working working = GetParam();
  std::mt19937_64 random(7);  // a fixed seed: the same demands in each run
  const auto upto = [&](int64_t most) { return static_cast<int64_t>(random() % static_cast<uint64_t>(most + 1)); };
  for (int round = 0; round < 20000; ++round) {
    std::vector<Demand> demands(static_cast<size_t>(upto(5)));
    for (Demand& demand : demands) demand = {upto(1000), upto(300), upto(50), upto(9)};
    const int64_t available = upto(4000);
    const MemoryPlan plan = plan_memory(available, demands, working);
    ASSERT_EQ(plan.left, available - taken(demands, plan.budgets, working));
    bool all_nothing = true;
    for (size_t i = 0; i < demands.size(); ++i) {
      const int64_t budget = plan.budgets[i];
      ASSERT_GE(budget, 0);
      ASSERT_LE(budget, demands[i].streamable);
      if (working == Working::Apart) {
        ASSERT_TRUE(budget == demands[i].streamable || budget + demands[i].scratch < demands[i].streamable)
            << "the hole";
      }
      all_nothing = all_nothing && (budget == 0 || budget == demands[i].streamable);
    }
    if (!all_nothing) {
      ASSERT_GE(plan.left, 0);
    }
    if (everything_fits(available, demands, working)) {
      for (size_t i = 0; i < demands.size(); ++i) ASSERT_EQ(plan.budgets[i], demands[i].streamable);
    }
    if (working == Working::Apart) {
      const MemoryPlan more = plan_memory(available + upto(500), demands, working);
      ASSERT_GE(
          std::accumulate(more.budgets.begin(), more.budgets.end(), int64_t{0}),
          std::accumulate(plan.budgets.begin(), plan.budgets.end(), int64_t{0}) - static_cast<int64_t>(demands.size()))
          << "more memory keeps no fewer weights, but for what division drops";
    }
    const MemoryPlan apart = plan_memory(available, demands);
    if (apart.left >= 0) {
      ASSERT_GE(plan_memory(available, demands, Working::InOneBlock).left, 0) << "a block takes no more";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Working, PlanProperties, ::testing::Values(Working::Apart, Working::InOneBlock),
                         [](const auto& way) { return way.param == Working::Apart ? "Apart" : "InOneBlock"; });

TEST(StillToCome, WhatIsNotRecordedIsTheMeanOfWhatIsKnown) {
  const std::vector<Demand> known = {{800, 100, 50}, {400, 60, 10}};
  const Demand recorded = still_to_come(2, 900, known);
  EXPECT_EQ(recorded.streamable, 900);
  EXPECT_EQ(recorded.scratch, 160);
  EXPECT_EQ(recorded.context, 60);
  EXPECT_EQ(still_to_come(2, -1, known).streamable, 1200);
  EXPECT_EQ(still_to_come(2, 900, known, Working::InOneBlock).scratch, 80) << "one after the other";
  EXPECT_EQ(still_to_come(0, 900, known).streamable, 0);
}

}  // namespace
}  // namespace torchtrt_ws
