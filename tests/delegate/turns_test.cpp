// Who comes first is served first, whoever is quicker; runs among themselves within a slice. Threads are let on only
// once the one before is seen waiting: no clock decides.

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

// Runs may overtake runs, but not a change; and what waits before the change goes first.
TEST(Turns, ARunThatComesLaterDoesNotOvertakeAChange) {
  Turns turns;
  std::vector<char> served;
  std::vector<std::thread> threads;
  turns.lock();
  for (const char who : {'r', 'c', 'R', 'C'}) {
    threads.emplace_back([&, who] {
      if (who == 'c' || who == 'C') {
        std::lock_guard<Turns> turn(turns);
        served.push_back(who);
      } else {
        const Turns::Run turn(turns);
        served.push_back(who);
      }
    });
    while (turns.waiting() != threads.size()) std::this_thread::yield();
  }
  turns.unlock();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, (std::vector<char>{'r', 'c', 'R', 'C'}));
}

// It ends only if the one that is never quicker is served too.
TEST(Turns, ARunIsServedHoweverBusyTheOthersAre) {
  Turns turns;
  int own = 0;
  bool done = false;
  const auto busy = [&] {
    for (bool stop = false; !stop;) {
      const Turns::Run turn(turns);
      stop = done;
    }
  };
  std::thread first(busy), second(busy);
  for (; own < 50; ++own) {
    {
      const Turns::Run turn(turns);
    }
    std::this_thread::yield();
  }
  {
    const Turns::Run turn(turns);
    done = true;
  }
  first.join();
  second.join();
  EXPECT_EQ(own, 50);
}

TEST(Turns, ARunThatWaitedForASliceIsNext) {
  Turns turns;
  std::vector<int> served;
  turns.lock();
  std::thread other([&] {
    const Turns::Run turn(turns);
    served.push_back(1);
  });
  while (turns.waiting() != 1) std::this_thread::yield();
  std::this_thread::sleep_for(2 * Turns::kSlice);  // it waits for longer than a slice
  turns.unlock();
  {
    const Turns::Run turn(turns);
    served.push_back(2);
  }
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
        if (n % 100 == 0) {
          std::lock_guard<Turns> turn(turns);
          ++count;
        } else {
          const Turns::Run turn(turns);
          ++count;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 8000);
  EXPECT_EQ(turns.waiting(), 0u);
}

}  // namespace
}  // namespace torchtrt_ws
