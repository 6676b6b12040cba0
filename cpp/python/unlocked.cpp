#include "python/unlocked.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "engine/python_lock.h"
#include "python/log_lines.h"

namespace torchtrt_ws::python {
namespace {

// Daemon threads may be in a call when the process ends, and a load may take minutes. Longer than nearly all calls, and
// shorter than what supervisors leave a process before they kill it: docker stop 10 s, Kubernetes 30 s.
constexpr std::chrono::seconds kMostWait{5};
constexpr std::chrono::milliseconds kPause{1};

/// Threads that are without the GIL, and not on their way to have it again. Nothing is counted on that way: Python may
/// keep the thread there for ever, and nothing of ours is under it that could go.
std::atomic<int> calls{0};

PyThreadState* begin_call() noexcept {
  calls.fetch_add(1, std::memory_order_relaxed);
  return PyEval_SaveThread();
}

void at_exit() {
  if (calls_have_ended()) return;
  std::fprintf(stderr,
               "torchtrt_ws: found a thread that is in a call %d s after Python's end; expected none. End or join the "
               "threads that load and call programs first.\n",
               static_cast<int>(kMostWait.count()));
}

}  // namespace

Unlocked::Unlocked() noexcept : state_(begin_call()) {}

Unlocked::~Unlocked() {
  calls.fetch_sub(1, std::memory_order_release);
  or_stay([this] { PyEval_RestoreThread(state_); });
  hand_over_lines();
}

bool calls_have_ended() noexcept {
  static const auto until = std::chrono::steady_clock::now() + kMostWait;
  while (calls.load(std::memory_order_acquire) > 0) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

void wait_for_calls_at_exit() noexcept {
  (void)Py_AtExit(&at_exit);
  // A child has the one thread that forked, which has the GIL.
  (void)pthread_atfork(nullptr, nullptr, [] { calls.store(0, std::memory_order_relaxed); });
}

}  // namespace torchtrt_ws::python
