#include "budget/room_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

namespace torchtrt_ws {
namespace {

using Budgets = std::vector<int64_t>;

int64_t taken(const Claim& claim, int64_t budget) { return budget + (budget < claim.streamable ? claim.scratch : 0); }

int64_t taken(const std::vector<Claim>& claims, const Budgets& budgets) {
  int64_t sum = 0;
  for (size_t i = 0; i < claims.size(); ++i) sum += taken(claims[i], budgets[i]);
  return sum;
}

Budgets now(const std::vector<Claim>& claims) {
  Budgets all;
  for (const Claim& claim : claims) all.push_back(claim.now);
  return all;
}

/// Steps of 10 bytes.
Claim claim(int priority, int64_t budget, int64_t streamable, int64_t scratch = 0) {
  Claim made{priority, budget, streamable, streamable, scratch, 0, {}};
  for (int64_t step = 0; step <= streamable; step += 10) made.steps.push_back(step);
  return made;
}

TEST(PlanRoom, TheLeastImportantGivesFirstAndNoMoreThanItsStep) {
  const std::vector<Claim> claims = {claim(1, 100, 200), claim(0, 100, 200), claim(2, 100, 200)};
  EXPECT_EQ(plan_room(0, claims).budgets, (Budgets{100, 100, 100}));
  EXPECT_EQ(plan_room(1, claims).budgets, (Budgets{100, 90, 100}));
  EXPECT_EQ(plan_room(100, claims).budgets, (Budgets{100, 0, 100}));
  EXPECT_EQ(plan_room(125, claims).budgets, (Budgets{70, 0, 100}));
  EXPECT_EQ(plan_room(300, claims).budgets, (Budgets{0, 0, 0}));
  EXPECT_EQ(plan_room(300, claims).freed, 300);
}

TEST(PlanRoom, WhatAnImportantStepFreesTooMuchTheOthersKeep) {
  std::vector<Claim> claims = {claim(1, 300, 400), claim(0, 100, 200)};
  claims[0].steps = {0, 150, 300};
  EXPECT_EQ(plan_room(120, claims).budgets, (Budgets{150, 100})) << "150 is enough without the other's 100";
  EXPECT_EQ(plan_room(170, claims).budgets, (Budgets{150, 80}));
}

TEST(PlanRoom, OfOnePriorityWhoCanGiveTheMostGivesFirst) {
  const std::vector<Claim> claims = {claim(0, 50, 200), claim(0, 150, 200), claim(0, 50, 200)};
  EXPECT_EQ(plan_room(120, claims).budgets, (Budgets{50, 30, 50}));
  EXPECT_EQ(plan_room(160, claims).budgets, (Budgets{50, 0, 40})) << "of equals the later one";
}

TEST(PlanRoom, OfOnePriorityWhoStreamsAlreadyGivesBeforeWhoIsResident) {
  const std::vector<Claim> claims = {claim(0, 200, 200, 20), claim(0, 100, 200, 20), claim(0, 120, 200, 20)};
  EXPECT_EQ(plan_room(100, claims).budgets, (Budgets{200, 100, 20}));
  EXPECT_EQ(plan_room(230, claims).budgets, (Budgets{170, 0, 0})) << "of its 30 it pays 20 for the scratch";
}

TEST(PlanRoom, BudgetsInTheHoleFreeNothing) {
  const std::vector<Claim> resident = {claim(0, 100, 100, 40)};
  EXPECT_EQ(plan_room(1, resident).budgets, (Budgets{50})) << "at 60 it would take 100 as it does now";
  EXPECT_EQ(plan_room(1, resident).freed, 10);
  EXPECT_EQ(plan_room(70, resident).freed, 60) << "it keeps its scratch";
  EXPECT_EQ(plan_room(70, {claim(0, 100, 100, 100)}).budgets, (Budgets{100})) << "it gives nothing by streaming";
  EXPECT_EQ(plan_room(1, {claim(0, 60, 100, 40)}).budgets, (Budgets{50})) << "it streams already";
}

TEST(PlanRoom, WithoutStepsItGivesSixteenths) {
  const std::vector<Claim> claims = {{0, 1600, 1600, 1600, 0}};
  EXPECT_EQ(plan_room(1, claims).budgets, (Budgets{1500}));
  EXPECT_EQ(plan_room(201, claims).budgets, (Budgets{1300}));
  EXPECT_EQ(plan_room(1550, claims).budgets, (Budgets{0}));
}

TEST(PlanRoom, MoreThanThereIsIsAllThereIs) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const std::vector<Claim> claims = {claim(0, 100, 100, 30), claim(5, 90, 100, 30), {3, kMax, kMax, kMax, kMax}};
  EXPECT_EQ(plan_room(kMax, claims).budgets, (Budgets{0, 0, kMax}));
  EXPECT_EQ(plan_room(kMax, claims).freed, 70 + 90);
  EXPECT_EQ(plan_room(1, {}).freed, 0);
}

TEST(PlanReturn, TheMostImportantComesFirst) {
  std::vector<Claim> claims = {claim(0, 0, 100), claim(1, 0, 100), claim(0, 60, 100)};
  EXPECT_EQ(plan_return(100, claims).budgets, (Budgets{0, 100, 60}));
  EXPECT_EQ(plan_return(155, claims).budgets, (Budgets{10, 100, 100})) << "of one priority who lacks the least";
  EXPECT_EQ(plan_return(155, claims).freed, -150);
  claims[1].most = 55;
  EXPECT_EQ(plan_return(1000, claims).budgets, (Budgets{100, 55, 100})) << "what it may have, step or not";
}

TEST(PlanReturn, FullResidencyIsPaidWithTheScratch) {
  const std::vector<Claim> claims = {claim(0, 20, 100, 30)};
  EXPECT_EQ(plan_return(49, claims).budgets, (Budgets{60}));
  EXPECT_EQ(plan_return(50, claims).budgets, (Budgets{100}));
  EXPECT_EQ(plan_return(50, claims).freed, -50);
  EXPECT_EQ(plan_return(-500, {claim(0, 80, 100, 30)}).budgets, (Budgets{100})) << "it takes less than it does now";
}

TEST(PlanReturn, AMarginStaysFree) {
  std::vector<Claim> claims = {claim(0, 0, 100)};
  claims[0].margin = 30;
  EXPECT_EQ(plan_return(100, claims).budgets, (Budgets{70}));
  EXPECT_EQ(plan_return(30, claims).budgets, (Budgets{0}));
}

/// All budgets that claims may be given.
std::vector<Budgets> combinations(const std::vector<Claim>& claims, bool grow) {
  std::vector<Budgets> all = {{}};
  for (const Claim& each : claims) {
    std::vector<int64_t> choices = each.steps;
    choices.insert(choices.end(), {each.now, grow ? each.most : 0});
    std::vector<Budgets> longer;
    for (const Budgets& begun : all) {
      for (const int64_t budget : choices) {
        if (grow ? budget < each.now || budget > each.most : budget > each.now) continue;
        longer.push_back(begun);
        longer.back().push_back(budget);
      }
    }
    all = std::move(longer);
  }
  return all;
}

/// Claims of different priorities, the most important first, in a random order; and where each one went.
std::vector<Claim> any_claims(std::mt19937_64& random) {
  const auto any = [&](int64_t most) { return std::uniform_int_distribution<int64_t>(0, most)(random); };
  std::vector<Claim> claims;
  for (int64_t i = 0, count = 1 + any(2); i < count; ++i) {
    const int64_t streamable = 1 + any(60);
    Claim made{static_cast<int>(count - i), any(streamable), 0, streamable, any(40), 0, {any(60), any(60), any(60)}};
    made.most = made.now + any(streamable - made.now);
    if (any(2) == 0) made.now = made.most = streamable;
    claims.push_back(made);
  }
  return claims;
}

// By brute force: of all ways to free enough, the one in which the most important keeps the most, then the next.
TEST(PlanRoom, KeepsTheMostOfTheMostImportant) {
  std::mt19937_64 random(1);  // a fixed seed: the same claims in each run
  for (int i = 0; i < 2000; ++i) {
    const std::vector<Claim> claims = any_claims(random);
    const int64_t before = taken(claims, now(claims));
    int64_t most = 0;
    const auto all = combinations(claims, false);
    for (const Budgets& budgets : all) most = std::max(most, before - taken(claims, budgets));
    const int64_t bytes = std::uniform_int_distribution<int64_t>(0, most)(random);
    Budgets best;
    for (const Budgets& budgets : all) {
      if (before - taken(claims, budgets) >= bytes) best = std::max(best, budgets);
    }
    const RoomPlan plan = plan_room(bytes, claims);
    ASSERT_EQ(plan.budgets, best) << i;
    ASSERT_EQ(plan.freed, before - taken(claims, best));
    ASSERT_EQ(plan_room(most + 1, claims).freed, most) << "and where that is too much, all of it";
  }
}

TEST(PlanReturn, GivesTheMostToTheMostImportant) {
  std::mt19937_64 random(2);  // likewise
  for (int i = 0; i < 2000; ++i) {
    const std::vector<Claim> claims = any_claims(random);
    const int64_t before = taken(claims, now(claims));
    const int64_t bytes = std::uniform_int_distribution<int64_t>(0, 100)(random);
    Budgets best = now(claims);
    for (const Budgets& budgets : combinations(claims, true)) {
      int64_t left = bytes;
      bool fits = true;
      for (size_t j = 0; j < claims.size(); ++j) {  // each within what those before it leave
        const int64_t cost = taken(claims[j], budgets[j]) - taken(claims[j], claims[j].now);
        fits = fits && (cost <= 0 || cost <= left);
        left -= cost;
      }
      if (fits) best = std::max(best, budgets);
    }
    const RoomPlan plan = plan_return(bytes, claims);
    ASSERT_EQ(plan.budgets, best) << i;
    ASSERT_EQ(plan.freed, before - taken(claims, best));
    ASSERT_GE(plan.freed, -bytes) << "never more than there is";
  }
}

}  // namespace
}  // namespace torchtrt_ws
