#include "budget/headroom_look.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "budget/room_plan.h"

namespace torchtrt_ws {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(LookAtHeadroom, WhatIsMissingIsTakenAtOnce) {
  EXPECT_EQ(look_at_headroom(70, 100, true).missing, 30);
  EXPECT_EQ(look_at_headroom(100, 100, true).missing, 0);
  EXPECT_EQ(look_at_headroom(0, std::numeric_limits<int64_t>::max(), false).missing,
            std::numeric_limits<int64_t>::max());
}

TEST(LookAtHeadroom, WhatIsSpareIsGivenBackSlowly) {
  EXPECT_EQ(look_at_headroom(263 * kMiB, 200 * kMiB, true).spare, 0) << "63 MiB more than enough are kept";
  EXPECT_FALSE(look_at_headroom(263 * kMiB, 200 * kMiB, true).is_calm);
  EXPECT_EQ(look_at_headroom(300 * kMiB, 200 * kMiB, false).spare, 0) << "the first calm look";
  EXPECT_TRUE(look_at_headroom(300 * kMiB, 200 * kMiB, false).is_calm);
  EXPECT_EQ(look_at_headroom(300 * kMiB, 200 * kMiB, true).spare, 18 * kMiB) << "half of what is over 264";
}

/// A process with one engine that follows a device.
struct Follower {
  Claim claim;
  bool calm = false;
  int moves = 0;

  void look(int64_t& free, int64_t headroom) {
    const HeadroomLook seen = look_at_headroom(free, headroom, calm);
    calm = seen.is_calm;
    const RoomPlan plan = seen.missing > 0 ? plan_room(seen.missing, {claim}) : plan_return(seen.spare, {claim});
    moves += plan.budgets[0] != claim.now;
    claim.now = plan.budgets[0];
    free += plan.freed;
  }
};

// Also when both look before one of them acts, which is the worst case.
TEST(LookAtHeadroom, TwoProcessesComeToRest) {
  for (const bool at_once : {false, true}) {
    for (const int64_t taken : {3000, 1500, 700, 0}) {
      std::vector<Follower> processes(2);
      for (Follower& each : processes) each.claim = {0, 2000 * kMiB, 2000 * kMiB, 2000 * kMiB, 80 * kMiB};
      int64_t free = 1000 * kMiB - taken * kMiB;  // below 0: somebody else has taken what is not there
      for (int round = 0; round < 60; ++round) {
        if (round == 20) free += taken * kMiB;  // and gives it back
        if (round == 40) {
          for (Follower& each : processes) each.moves = 0;
        }
        const int64_t seen = free;
        for (Follower& each : processes) {
          int64_t mine = at_once ? seen : free;
          const int64_t before = mine;
          each.look(mine, 200 * kMiB);
          free += mine - before;
        }
        const bool settled = round < 10 || round >= 20 || free >= 200 * kMiB;
        EXPECT_TRUE(settled) << "the headroom is not kept: " << free;
      }
      EXPECT_GE(free, 200 * kMiB);
      for (const Follower& each : processes) EXPECT_EQ(each.moves, 0) << "at rest: " << at_once << " " << taken;
    }
  }
}

}  // namespace
}  // namespace torchtrt_ws
