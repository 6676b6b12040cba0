#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "delegate/error.h"
#include "torchtrt_ws/memory.h"

namespace torchtrt_ws {

struct Follower::State {
  std::mutex mutex;  // guards `ends`; never held across follow()
  std::condition_variable wakes;
  bool ends = false;
  std::thread thread;
};

Follower::Follower(std::chrono::milliseconds interval) : state_(std::make_unique<State>()) {
  const auto pause = std::max(interval, std::chrono::milliseconds(1));
  const auto look = [state = state_.get(), pause] {
    std::unique_lock<std::mutex> lock(state->mutex);
    while (!state->wakes.wait_for(lock, pause, [state] { return state->ends; })) {
      lock.unlock();
      (void)follow();
      lock.lock();
    }
  };
  // Where the system gives no thread, the log says so.
  (void)guarded("a thread that follows the headroom", [&] {
    state_->thread = std::thread(look);
    return ok_status();
  });
}

Follower::~Follower() {
  {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    state_->ends = true;
  }
  state_->wakes.notify_all();
  if (state_->thread.joinable()) state_->thread.join();
}

}  // namespace torchtrt_ws
