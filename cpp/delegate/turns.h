#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace torchtrt_ws {

/// A mutex whose holders take turns: who comes first is served first. std::mutex may hand itself back to the thread
/// that just let go, and then a caller that waits behind busy ones waits for as long as they are busy.
///
/// Use it with std::lock_guard or std::unique_lock. Takes no memory: who waits is listed on the waiters' own stacks.
class Turns {
 public:
  void lock() {
    std::unique_lock<std::mutex> guard(mutex_);
    if (!taken_) {
      taken_ = true;
      return;
    }
    Waiter self;
    (last_ == nullptr ? first_ : last_->next) = &self;
    last_ = &self;
    ++waiting_;
    self.called.wait(guard, [&self] { return self.is_next; });
  }

  bool try_lock() {
    std::lock_guard<std::mutex> guard(mutex_);
    if (taken_) return false;
    taken_ = true;
    return true;
  }

  /// Hands over to the first who waits: `taken_` stays true, so that nobody comes between.
  void unlock() {
    std::lock_guard<std::mutex> guard(mutex_);
    if (first_ == nullptr) {
      taken_ = false;
      return;
    }
    Waiter* const next = first_;
    first_ = next->next;
    if (first_ == nullptr) last_ = nullptr;
    --waiting_;
    next->is_next = true;
    next->called.notify_one();  // under mutex_: once that is free the waiter, and `next` with it, may be gone
  }

  /// How many wait now.
  size_t waiting() const {
    std::lock_guard<std::mutex> guard(mutex_);
    return waiting_;
  }

 private:
  struct Waiter {
    std::condition_variable called;
    Waiter* next = nullptr;
    bool is_next = false;
  };

  mutable std::mutex mutex_;  // guards all below; held for moments only
  bool taken_ = false;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  size_t waiting_ = 0;
};

}  // namespace torchtrt_ws
