#include "budget/ladder.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace torchtrt_ws {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kStreamable = 536870912;  // the measured plan: "537 MB", scratch twice its largest weight
constexpr int64_t kScratch = 67108864;
constexpr int64_t kContext = 25165824;

TEST(NextSmallerBudget, GoesStraightToTheLargestThatFits) {
  EXPECT_EQ(next_smaller_budget(800, 1, {600, 50, 100, 800}), 450);
  EXPECT_EQ(next_smaller_budget(800, 1, {149, 50, 100, 800}), 0) << "nothing fits: the last try";
}

TEST(NextSmallerBudget, ThenDownInStepsThatDouble) {
  std::vector<int64_t> rungs;
  int tries = 0;
  const MemoryFacts facts{kMax, 0, 0, 1600};
  for (std::optional<int64_t> rung = 1600; rung; rung = next_smaller_budget(*rung, tries, facts)) {
    rungs.push_back(*rung);
    ++tries;
  }
  EXPECT_EQ(rungs, (std::vector<int64_t>{1600, 1500, 1300, 900, 100, 0}));
}

TEST(NextSmallerBudget, Edges) {
  const MemoryFacts roomy{kMax, 0, 0, kMax};
  EXPECT_EQ(next_smaller_budget(0, 1, roomy), std::nullopt);
  EXPECT_EQ(next_smaller_budget(-5, 1, roomy), std::nullopt);
  EXPECT_EQ(next_smaller_budget(1, 1, roomy), 0);
  EXPECT_EQ(next_smaller_budget(kMax, 1, roomy), kMax - kMax / 16);
  EXPECT_EQ(next_smaller_budget(kMax, 100, roomy), 0);
}

TEST(NextSmallerBudget, TheLongestLadderIsShort) {
  int tries = 0;
  const MemoryFacts facts{kMax, 0, 0, kMax};
  for (std::optional<int64_t> rung = kMax; rung; rung = next_smaller_budget(*rung, tries, facts)) ++tries;
  EXPECT_LE(tries, 7);
}

struct FitRow {
  const char* why;
  MemoryFacts facts;
  int64_t want;
};

TEST(LargestBudgetThatFits, Table) {
  const FitRow rows[] = {
      {"plenty: all of it", {int64_t{80} << 30, kContext, kScratch, kStreamable}, kStreamable},
      {"exactly all of it: no scratch is needed there",
       {kStreamable + kContext, kContext, kScratch, kStreamable},
       kStreamable},
      {"one byte short of all: scratch is needed, so the answer falls by all of scratch and one",
       {kStreamable + kContext - 1, kContext, kScratch, kStreamable},
       kStreamable - kScratch - 1},
      {"half", {kContext + kScratch + kStreamable / 2, kContext, kScratch, kStreamable}, kStreamable / 2},
      {"exactly nothing but context and scratch", {kContext + kScratch, kContext, kScratch, kStreamable}, 0},
      {"one byte less: not even 0 fits", {kContext + kScratch - 1, kContext, kScratch, kStreamable}, -1},
      {"no room for the context", {kContext - 1, kContext, kScratch, kStreamable}, -1},
      {"nothing free", {0, kContext, kScratch, kStreamable}, -1},
      {"nothing free, nothing needed", {0, 0, 0, 0}, 0},
      {"scratch over streamable: all or nothing, all fits", {100, 0, 1000, 100}, 100},
      {"scratch over streamable: all or nothing, one byte short", {99, 0, 1000, 100}, -1},
      {"no scratch: what is left", {60, 10, 0, 100}, 50},
      {"not streamable, fits", {kContext, kContext, 0, 0}, 0},
      {"extremes do not overflow", {0, kMax, kMax, kMax}, -1},
      {"extremes do not overflow: all", {kMax, 0, kMax, kMax}, kMax},
  };
  for (const FitRow& row : rows) EXPECT_EQ(largest_budget_that_fits(row.facts), row.want) << row.why;
}

MemoryFacts in_block(MemoryFacts facts, int64_t shared, int64_t staging = 0) {
  facts.in_block = true;
  facts.shared = shared;
  facts.staging = staging;
  return facts;
}

TEST(LargestBudgetThatFits, WhatOthersNeedOfTheBlockIsPaidFor) {
  EXPECT_EQ(largest_budget_that_fits(in_block({60, 10, 30, 100}, 40)), 60) << "context and scratch are there";
  EXPECT_EQ(largest_budget_that_fits(in_block({60, 10, 30, 100}, 25)), 45);
  EXPECT_EQ(largest_budget_that_fits(in_block({60, 10, 30, 100}, 40, 7)), 53);
  EXPECT_EQ(largest_budget_that_fits(in_block({105, 10, 30, 100}, 40)), 100);
  EXPECT_EQ(largest_budget_that_fits(in_block({0, 10, 30, 100}, 40)), 0);
  EXPECT_EQ(least_memory_that_would_do(in_block({0, 10, 30, 100}, 40)), 0);
  EXPECT_EQ(needed_memory(in_block({0, 10, 30, 100}, 15, 2), 50), 50 + 25 + 2);
  EXPECT_EQ(needed_memory(in_block({0, 10, 30, 100}, 15, 2), 100), 100 + 2);
  EXPECT_EQ(needed_memory({0, kMax, kMax, kMax}, kMax), kMax);
}

TEST(LargestBudgetThatFits, IsNeverInTheHole) {
  for (int64_t free = 0; free <= 140; ++free) {
    const MemoryFacts facts{free, 10, 30, 100};
    const int64_t budget = largest_budget_that_fits(facts);
    if (budget >= 0 && budget < facts.streamable) {
      EXPECT_LT(budget + facts.scratch, facts.streamable) << free;
    }
    const bool least_fits = free >= least_memory_that_would_do(facts);
    EXPECT_EQ(budget >= 0, least_fits) << free;
  }
}

TEST(LeastMemoryThatWouldDo, IsContextAndTheSmallerOfScratchAndWeights) {
  EXPECT_EQ(least_memory_that_would_do({0, kContext, kScratch, kStreamable}), kContext + kScratch);
  EXPECT_EQ(least_memory_that_would_do({0, kContext, kStreamable, kScratch}), kContext + kScratch);
  EXPECT_EQ(least_memory_that_would_do({0, kMax, kMax, kMax}), kMax);
}

}  // namespace
}  // namespace torchtrt_ws
