#pragma once

#include <algorithm>
#include <mutex>
#include <vector>

namespace torchtrt_ws {

/// What the engine that asks counts as its own: contexts come with every engine that shares weights, weights with one.
struct Holder {
  bool context;  // it has one
  bool weights;  // it counts the weights
};

/// The engines on one copy of weights, in the order in which they joined. Safe to use from several threads.
class Sharers {
 public:
  void join(const void* user) {
    std::lock_guard<std::mutex> lock(mutex_);
    users_.push_back({user, false});
  }

  void leave(const void* user) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    users_.erase(std::remove_if(users_.begin(), users_.end(), [user](const User& each) { return each.engine == user; }),
                 users_.end());
  }

  void note_context(const void* user, bool has_context) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    for (User& each : users_) {
      if (each.engine == user) each.has_context = has_context;
    }
  }

  bool any_context() const noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::any_of(users_.begin(), users_.end(), [](const User& each) { return each.has_context; });
  }

  /// Weights are counted once: by the first user with a context, or by whoever asks when nobody has one.
  Holder holder(const void* user) const noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto first = std::find_if(users_.begin(), users_.end(), [](const User& each) { return each.has_context; });
    if (first == users_.end()) return {false, true};
    const bool context =
        std::any_of(first, users_.end(), [user](const User& each) { return each.engine == user && each.has_context; });
    return {context, first->engine == user};
  }

  /// Whether `user` counts the weights in a report of all users: as above, but the first one when nobody has a context.
  bool reports_weights(const void* user) const noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto counts = std::find_if(users_.begin(), users_.end(), [](const User& each) { return each.has_context; });
    if (counts != users_.end()) return counts->engine == user;
    return !users_.empty() && users_.front().engine == user;
  }

 private:
  struct User {
    const void* engine;
    bool has_context;
  };

  mutable std::mutex mutex_;  // guards users_
  std::vector<User> users_;
};

}  // namespace torchtrt_ws
