#include "engine/tensorrt/shared_plan.h"

#include <algorithm>

namespace torchtrt_ws::tensorrt {

void SharedPlan::join(const void* user) {
  std::lock_guard<std::mutex> lock(mutex_);
  users_.push_back({user, false});
}

void SharedPlan::leave(const void* user) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  users_.erase(std::remove_if(users_.begin(), users_.end(), [user](const User& each) { return each.engine == user; }),
               users_.end());
}

void SharedPlan::note_context(const void* user, bool has_context) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  for (User& each : users_) {
    if (each.engine == user) each.has_context = has_context;
  }
}

bool SharedPlan::any_context() const noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  return std::any_of(users_.begin(), users_.end(), [](const User& each) { return each.has_context; });
}

Holder SharedPlan::holder(const void* user) const noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto first = std::find_if(users_.begin(), users_.end(), [](const User& each) { return each.has_context; });
  if (first == users_.end()) return {false, true};
  const bool context =
      std::any_of(first, users_.end(), [user](const User& each) { return each.engine == user && each.has_context; });
  return {context, first->engine == user};
}

bool SharedPlan::reports_weights(const void* user) const noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto counts = std::find_if(users_.begin(), users_.end(), [](const User& each) { return each.has_context; });
  if (counts != users_.end()) return counts->engine == user;
  return !users_.empty() && users_.front().engine == user;
}

}  // namespace torchtrt_ws::tensorrt
