// A process of its own: it plays Python, whose global lock is a mutex here, with the functions of Python's C interface.

#include "engine/python_lock.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <future>
#include <mutex>
#include <thread>

#include "delegate/turns.h"

namespace {

std::mutex global_lock;
thread_local bool holds_it = false;
thread_local char state;                   // of the thread; who is given back what it got
std::atomic<void*> state_in_use{nullptr};  // of who holds the lock
bool initialized = true;
std::atomic<bool> ends{false};   // who asks for the lock from then on is ended
std::atomic<bool> asked{false};  // somebody has

void take() {
  global_lock.lock();
  holds_it = true;
  state_in_use = &state;
}

void give() {
  holds_it = false;
  state_in_use = nullptr;
  global_lock.unlock();
}

}  // namespace

// NOLINTBEGIN(bugprone-reserved-identifier): Python's names
extern "C" {
__attribute__((visibility("default"))) int Py_IsInitialized() { return initialized ? 1 : 0; }
__attribute__((visibility("default"))) int PyGILState_Check() { return 1; }  // as after a subinterpreter
__attribute__((visibility("default"))) void* PyGILState_GetThisThreadState() { return &state; }
__attribute__((visibility("default"))) void* _PyThreadState_UncheckedGet() { return state_in_use; }
__attribute__((visibility("default"))) void* PyEval_SaveThread() {
  give();
  return &state;
}
__attribute__((visibility("default"))) void PyEval_RestoreThread(void* restored) {
  EXPECT_EQ(restored, &state);
  if (ends) {
    asked = true;
    pthread_exit(nullptr);
  }
  take();
}
}
// NOLINTEND(bugprone-reserved-identifier)

namespace torchtrt_ws {
namespace {

// Where the wait kept Python's lock, neither thread would ever go on.
TEST(PythonLock, WhoIsWaitedForMayTakeIt) {
  std::mutex ours;
  std::promise<void> locked;
  std::thread logs([&] {
    const std::lock_guard<std::mutex> lock(ours);
    locked.set_value();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the other one waits by then
    take();
    give();
  });
  take();
  locked.get_future().wait();
  {
    const auto lock = lock_patiently(ours);
    EXPECT_TRUE(lock.owns_lock());
    EXPECT_TRUE(holds_it);  // again
  }
  give();
  logs.join();
}

TEST(PythonLock, AMutexThatIsFreeIsTakenWithoutGivingItBack) {
  std::mutex ours;
  take();
  const auto lock = lock_patiently(ours);
  EXPECT_TRUE(holds_it);
  EXPECT_FALSE(std::async(std::launch::async, [] { return global_lock.try_lock(); }).get());
  give();
}

TEST(PythonLock, WhoDoesNotHoldItIsNotGivenIt) {
  {
    WithoutPythonLock unlocked;
    unlocked.release();
  }
  EXPECT_FALSE(holds_it);
  EXPECT_TRUE(global_lock.try_lock());
  global_lock.unlock();
}

TEST(PythonLock, APythonThatHasEndedIsLeftAlone) {
  initialized = false;
  take();
  {
    WithoutPythonLock unlocked;
    unlocked.release();
    EXPECT_TRUE(holds_it);
  }
  give();
  initialized = true;
}

TEST(PythonLock, ASecondReleaseDoesNothing) {
  take();
  {
    WithoutPythonLock unlocked;
    unlocked.release();
    EXPECT_FALSE(holds_it);
    unlocked.release();
  }
  EXPECT_TRUE(holds_it);
  give();
}

// The thread that Python keeps has its turn meanwhile: whoever ends Python may have programs to unload, which waits for
// it.
TEST(PythonLockDeathTest, AThreadThatPythonEndsKeepsNoTurn) {
  EXPECT_EXIT(
      {
        alarm(10);
        auto* const turns = new Turns;
        turns->lock();
        std::thread([turns] {
          take();
          turns->lock();  // without Python's lock while it waits
        }).detach();
        while (turns->waiting() == 0) std::this_thread::yield();
        ends = true;
        turns->unlock();
        while (!asked) std::this_thread::yield();
        turns->lock();
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

// An alarm, which ends the process, comes to a thread that stays; without that it ends by std::terminate() before.
TEST(PythonLockDeathTest, AThreadThatPythonEndsStays) {
  EXPECT_EXIT(
      {
        alarm(1);
        take();
        ends = true;
        WithoutPythonLock unlocked;
        unlocked.release();
      },
      ::testing::KilledBySignal(SIGALRM), "");
}

TEST(PythonLockDeathTest, AThreadThatPythonEndsKeepsNoMutex) {
  EXPECT_EXIT(
      {
        std::mutex ours;
        std::unique_lock<std::mutex> lock(ours);
        std::promise<void> taken;
        std::thread waits([&] {
          take();
          taken.set_value();
          const auto never = lock_patiently(ours);
        });
        waits.detach();
        taken.get_future().wait();
        take();  // it waits without the lock by now
        ends = true;
        give();
        lock.unlock();
        while (true) {  // until it has had the mutex and stays
          lock.lock();
          if (asked) _exit(0);
          lock.unlock();
        }
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace torchtrt_ws
