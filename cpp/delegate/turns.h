#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

#include "engine/python_lock.h"

namespace torchtrt_ws {

/// A mutex whose holders take turns. std::mutex may hand itself back to the thread that just let go, and then a caller
/// that waits behind busy ones waits for as long as they are busy.
///
/// lock() (std::lock_guard, std::unique_lock) is served in the order of arrival, and nobody who comes later is served
/// before it. Turns::Run, for callers that come again and again, is served in the order of arrival while a lock()
/// waits, and else once in kSlice: to wake another thread for each call of a few microseconds would take longer than
/// the calls do. Takes no memory: who waits is listed on the waiters' own stacks.
class Turns {
 public:
  /// How long threads whose calls are short may go on while others wait. Longer calls take strict turns.
  static constexpr std::chrono::milliseconds kSlice{1};

  /// Holds it while it lives, for one call of many.
  class Run {
   public:
    explicit Run(Turns& turns) : turns_(turns) { turns_.take(false); }
    ~Run() { turns_.unlock(); }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

   private:
    Turns& turns_;
  };

  void lock() { take(true); }

  bool try_lock() {
    std::lock_guard<std::mutex> guard(mutex_);
    if (taken_ || first_ != nullptr) return false;
    taken_ = true;
    return true;
  }

  void unlock() {
    std::lock_guard<std::mutex> guard(mutex_);
    if (first_ == nullptr) {
      taken_ = false;
    } else if (ordered_ > 0 || slice_is_over()) {
      // `taken_` stays true, so that nobody comes between.
      Waiter* const next = pop_first();
      next->is_served = true;
      next->called.notify_one();  // under mutex_: once that is free the waiter, and `next` with it, may be gone
    } else {
      taken_ = false;  // for whoever is here sooner
      if (!first_->is_called) first_->called.notify_one();
      first_->is_called = true;
    }
  }

  /// How many wait now.
  size_t waiting() const {
    std::lock_guard<std::mutex> guard(mutex_);
    return waiting_;
  }

 private:
  struct Waiter {
    explicit Waiter(bool ordered) : is_ordered(ordered) {}

    std::condition_variable called;
    Waiter* next = nullptr;
    const bool is_ordered;
    bool is_called = false;  // and has not looked yet: there is no need to call again
    bool is_served = false;
  };

  void take(bool ordered) {
    WithoutPythonLock unlocked;
    wait(ordered, unlocked);
    // With the turn, but without mutex_. A thread that Python's end keeps for ever does not keep the turn.
    unlocked.take_back([this] { unlock(); });
  }

  void wait(bool ordered, WithoutPythonLock& unlocked) {
    std::unique_lock<std::mutex> guard(mutex_);
    if (!taken_ && (first_ == nullptr || (!ordered && ordered_ == 0))) {
      taken_ = true;
      return;
    }
    Waiter self(ordered);
    (last_ == nullptr ? first_ : last_->next) = &self;
    last_ = &self;
    ++waiting_;
    if (ordered) ++ordered_;
    while (!self.is_served) {
      if (!taken_ && first_ == &self) {
        taken_ = true;
        pop_first();
        return;
      }
      self.is_called = false;
      unlocked.release();
      self.called.wait(guard);
    }
  }

  Waiter* pop_first() {
    Waiter* const waiter = first_;
    first_ = waiter->next;
    if (first_ == nullptr) last_ = nullptr;
    --waiting_;
    if (waiter->is_ordered) --ordered_;
    return waiter;
  }

  /// Begins the next slice when it is.
  bool slice_is_over() {
    const auto now = std::chrono::steady_clock::now();
    if (now - slice_began_ < kSlice) return false;
    slice_began_ = now;
    return true;
  }

  mutable std::mutex mutex_;  // guards all below; held for moments only
  bool taken_ = false;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  size_t waiting_ = 0;
  size_t ordered_ = 0;  // of those, how many came by lock()
  std::chrono::steady_clock::time_point slice_began_;
};

}  // namespace torchtrt_ws
