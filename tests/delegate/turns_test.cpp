// Who comes first is served first, whoever is quicker. Threads are let on only once the one before is seen waiting: no
// clock decides.

#include "delegate/turns.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace torchtrt_ws {
namespace {

TEST(Turns, AreTakenInTheOrderOfArrival) {
  Turns turns;
  std::vector<int> served;  // guarded by `turns`
  std::vector<std::thread> threads;
  turns.lock();
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      std::lock_guard<Turns> turn(turns);
      served.push_back(i);
    });
    while (turns.waiting() != static_cast<size_t>(i) + 1) std::this_thread::yield();
  }
  turns.unlock();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
}

// What std::mutex allows: the thread that lets go takes it again at once.
TEST(Turns, WhoLetsGoDoesNotOvertakeWhoWaits) {
  Turns turns;
  std::vector<int> served;
  turns.lock();
  std::thread other([&] {
    std::lock_guard<Turns> turn(turns);
    served.push_back(1);
  });
  while (turns.waiting() != 1) std::this_thread::yield();
  turns.unlock();
  EXPECT_TRUE(turns.waiting() == 0);
  turns.lock();
  served.push_back(2);
  turns.unlock();
  other.join();
  EXPECT_EQ(served, (std::vector<int>{1, 2}));
}

TEST(Turns, TryingNeverWaits) {
  Turns turns;
  EXPECT_TRUE(turns.try_lock());
  EXPECT_FALSE(turns.try_lock());
  turns.unlock();
  EXPECT_TRUE(turns.try_lock());
  turns.unlock();
}

TEST(Turns, ManyThreadsKeepOneCountRight) {
  Turns turns;
  int count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 2000; ++n) {
        std::lock_guard<Turns> turn(turns);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 8000);
}

}  // namespace
}  // namespace torchtrt_ws
