// What check() foretells of budgets and memory: the numbers of files and devices that the tests make up.
#include "delegate/check_budgets.h"

#include <gtest/gtest.h>

#include <limits>

namespace torchtrt_ws {
namespace {

constexpr int64_t kMiB = 1 << 20;

BudgetQuestion question(int64_t streamable, std::optional<int64_t> free) {
  BudgetQuestion question{};
  question.name = "tower";
  question.streamable = streamable;
  question.device = "cuda:0";
  question.free = free;
  question.request.margin = 0;
  return question;
}

BudgetQuestion baked(int64_t bytes, int64_t streamable, std::optional<int64_t> free) {
  BudgetQuestion asked = question(streamable, free);
  asked.request.baked = Bytes{bytes};
  return asked;
}

struct Foretold {
  std::vector<BudgetAnswer> budgets;
  std::vector<CheckFact> facts;
};

Foretold foretell(const std::vector<BudgetQuestion>& questions) {
  Foretold told;
  told.budgets = foretell_budgets(questions);
  told.facts = foretell_memory(questions, told.budgets);
  return told;
}

int64_t size_of(const CheckFact& fact, const std::string& name) {
  for (const auto& [each, count] : fact.bytes) {
    if (each == name) return count;
  }
  ADD_FAILURE() << "no size " << name << " in " << fact.name;
  return -1;
}

TEST(CheckBudgets, ABakedBudgetThatFits) {
  const Foretold told = foretell({baked(kMiB, 4 * kMiB, 8 * kMiB)});
  EXPECT_EQ(told.budgets[0].fact.verdict, Verdict::Ok);
  EXPECT_EQ(told.budgets[0].budget, kMiB);
  EXPECT_NE(told.budgets[0].fact.found.find("baked"), std::string::npos) << told.budgets[0].fact.found;
  ASSERT_EQ(told.facts.size(), 1u);
  EXPECT_EQ(told.facts[0].verdict, Verdict::Ok);
  EXPECT_EQ(size_of(told.facts[0], "needed"), kMiB);
  EXPECT_NE(told.facts[0].found.find("scratch that the file does not record"), std::string::npos);
}

TEST(CheckBudgets, WhatDoesNotFitIsANoWithTheBudgetThatDoes) {
  BudgetQuestion asked = baked(6 * kMiB, 8 * kMiB, 5 * kMiB);
  asked.scratch = kMiB;
  asked.resident = kMiB;
  const CheckFact memory = foretell({asked}).facts[0];
  EXPECT_EQ(memory.verdict, Verdict::No);
  EXPECT_EQ(size_of(memory, "needed"), 8 * kMiB);
  EXPECT_NE(memory.remedy.find("at most 3145728 bytes"), std::string::npos) << memory.remedy;
  asked.resident = 5 * kMiB;
  EXPECT_NE(foretell({asked}).facts[0].remedy.find("Not even a budget of 0 fits: free 1048576 bytes"),
            std::string::npos);
}

TEST(CheckBudgets, EnginesThatFitAloneAndNotTogether) {
  const BudgetQuestion asked = baked(3 * kMiB, 3 * kMiB, 5 * kMiB);
  EXPECT_EQ(foretell({asked}).facts[0].verdict, Verdict::Ok);
  EXPECT_EQ(foretell({asked, asked}).facts[0].verdict, Verdict::No);
}

TEST(CheckBudgets, EnginesOnTheSameWeightsCountOnce) {
  const BudgetQuestion asked = baked(3 * kMiB, 3 * kMiB, 5 * kMiB);
  BudgetQuestion other = asked;
  other.weights_of = 0;
  const Foretold told = foretell({asked, other});
  EXPECT_EQ(told.facts[0].verdict, Verdict::Ok);
  EXPECT_EQ(told.budgets[1].budget, 3 * kMiB);
}

TEST(CheckBudgets, AutomaticOnesShareWhatIsLeft) {
  const Foretold told =
      foretell({question(6 * kMiB, 5 * kMiB), baked(kMiB, 4 * kMiB, 5 * kMiB), question(2 * kMiB, 5 * kMiB)});
  EXPECT_EQ(*told.budgets[0].budget + *told.budgets[2].budget, 4 * kMiB);
  EXPECT_EQ(told.budgets[0].budget, 3 * kMiB);
  EXPECT_EQ(told.facts[0].verdict, Verdict::Ok);
}

TEST(CheckBudgets, AutomaticLeavesTheMarginAndNeverPassesTheWeights) {
  BudgetQuestion asked = question(8 * kMiB, 5 * kMiB);
  asked.request.margin = kMiB;
  EXPECT_EQ(foretell_budgets({asked})[0].budget, 4 * kMiB);
  asked.free = 100 * kMiB;
  EXPECT_EQ(foretell_budgets({asked})[0].budget, 8 * kMiB);
  asked.free = 0;
  EXPECT_EQ(foretell_budgets({asked})[0].budget, 0);
}

TEST(CheckBudgets, AnExplicitOneMayEatTheMarginAndIsTold) {
  BudgetQuestion asked = baked(4 * kMiB, 8 * kMiB, 5 * kMiB);
  asked.request.margin = 2 * kMiB;
  const CheckFact memory = foretell({asked}).facts[0];
  EXPECT_EQ(memory.verdict, Verdict::Advice);
  EXPECT_NE(memory.remedy.find("margin of 2097152 bytes"), std::string::npos) << memory.remedy;
}

TEST(CheckBudgets, WithoutADeviceAutomaticCannotBeToldAndExplicitCan) {
  const Foretold told = foretell({question(kMiB, std::nullopt), baked(7, kMiB, std::nullopt)});
  EXPECT_EQ(told.budgets[0].fact.verdict, Verdict::Unknown);
  EXPECT_EQ(told.budgets[0].budget, std::nullopt);
  EXPECT_EQ(told.budgets[1].fact.verdict, Verdict::Ok);
  EXPECT_EQ(told.facts[0].verdict, Verdict::Unknown);
}

TEST(CheckBudgets, MoreThanAllWeightsIsAdviceUnlessItIsHowAllIsBaked) {
  EXPECT_EQ(foretell_budgets({baked(5, 4, 100)})[0].fact.verdict, Verdict::Advice);
  const BudgetAnswer all = foretell_budgets({baked(std::numeric_limits<int64_t>::max(), 4, 100)})[0];
  EXPECT_EQ(all.fact.verdict, Verdict::Ok);
  EXPECT_EQ(all.budget, 4);
}

TEST(CheckBudgets, ABudgetForNoWeightsIsAdvice) {
  const BudgetAnswer answer = foretell_budgets({baked(5, 0, 100)})[0];
  EXPECT_EQ(answer.fact.verdict, Verdict::Advice);
  EXPECT_EQ(foretell_budgets({question(0, 100)})[0].fact.verdict, Verdict::Ok);
}

TEST(CheckBudgets, ATotalWithoutRecordedSharesIsANo) {
  BudgetQuestion asked = question(kMiB, 8 * kMiB);
  asked.request.general = Total{kMiB};
  const Foretold told = foretell({asked});
  EXPECT_EQ(told.budgets[0].fact.verdict, Verdict::No);
  EXPECT_NE(told.budgets[0].fact.found.find("weight_streaming_total_budget"), std::string::npos);
  EXPECT_EQ(told.facts[0].verdict, Verdict::Unknown);
}

TEST(CheckBudgets, HostWeightsGiveWayAndWhatIsLockedIsLimited) {
  BudgetQuestion asked = baked(3 * kMiB, 3 * kMiB, kMiB);
  asked.device = "cpu";
  asked.lock_limit = 2 * kMiB;
  const Foretold told = foretell({asked});
  ASSERT_EQ(told.facts.size(), 2u);
  EXPECT_EQ(told.facts[0].verdict, Verdict::Advice);
  EXPECT_EQ(told.facts[1].name, "lock");
  EXPECT_EQ(told.facts[1].verdict, Verdict::Advice);
  asked.lock_limit = 3 * kMiB;
  EXPECT_EQ(foretell({asked}).facts[1].verdict, Verdict::Ok);
}

TEST(CheckBudgets, SizesOfHostileFilesDoNotWrap) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  BudgetQuestion asked = baked(kMost, kMost, kMost);
  asked.scratch = kMost;
  asked.resident = kMost;
  const CheckFact memory = foretell({asked, asked}).facts[0];
  EXPECT_EQ(size_of(memory, "needed"), kMost);
  BudgetQuestion automatic = question(kMost, kMost);
  automatic.scratch = kMost;
  automatic.request.margin = kMost;
  EXPECT_EQ(foretell_budgets({automatic, automatic})[0].budget, 0);
}

}  // namespace
}  // namespace torchtrt_ws
