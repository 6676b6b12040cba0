#include "delegate/paused_sharers.h"

#include <algorithm>
#include <utility>

#include "delegate/live_handles.h"

namespace torchtrt_ws {

Handle::PausedSharers::PausedSharers(const void* weights, const Handle* own) {
  Handles sharers = LiveHandles::instance().sharing(weights);
  paused_.reserve(sharers.size());  // before a turn is held
  for (auto& handle : sharers) {
    if (handle.get() == own) continue;
    handle->turns_.lock();
    const Engine* engine = handle->engine_.get();
    const bool had_context = engine != nullptr && engine->has_context();
    paused_.push_back({std::move(handle), had_context});
  }
  drop_contexts();
}

Handle::PausedSharers::~PausedSharers() {
  for (Paused& paused : paused_) {
    paused.handle->fresh_ = true;
    paused.handle->note_locked();
    paused.handle->turns_.unlock();
  }
}

int Handle::PausedSharers::contexts() const {
  const auto sleeps = [](const Paused& paused) { return paused.handle->asleep_; };
  return static_cast<int>(paused_.size() - static_cast<size_t>(std::count_if(paused_.begin(), paused_.end(), sleeps))) +
         1;
}

void Handle::PausedSharers::drop_contexts() noexcept {
  for (Paused& paused : paused_) {
    if (paused.handle->engine_ != nullptr) paused.handle->engine_->drop_context();
  }
}

Status Handle::PausedSharers::make_contexts() {
  Status all = ok_status();
  for (Paused& paused : paused_) {
    if (!paused.had_context) continue;
    Status made = paused.handle->engine_->make_context();
    if (all.ok() && !made.ok()) all = std::move(made);
  }
  return all;
}

void Handle::PausedSharers::agree_with(const Handle& own) noexcept {
  for (Paused& paused : paused_) {
    paused.handle->source_ = own.source_;
    paused.handle->automatic_ = own.automatic_;
    paused.handle->taken_ = own.taken_;
    paused.handle->keep_free_ = own.keep_free_;
    paused.handle->wakes_to_ = own.wakes_to_;
  }
}

}  // namespace torchtrt_ws
