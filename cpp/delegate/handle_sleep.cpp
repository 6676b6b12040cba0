// Sleeping and waking of one engine (delegate/handle.h). Weights go when all engines on them sleep.

#include <algorithm>
#include <utility>

#include "delegate/apply.h"
#include "delegate/error.h"
#include "delegate/headroom.h"
#include "delegate/live_handles.h"
#include "delegate/paused_sharers.h"

namespace torchtrt_ws {

Failure sleeps(const Identity& identity, const char* what) {
  return {ErrorCode::WrongState, "engine '" + identity.name + "'", std::string(what) + " while it sleeps",
          "an engine that is awake", "Call wake() first"};
}

bool Handle::another_is_awake() const {
  const Handles sharing = LiveHandles::instance().sharing(weights_);
  return std::any_of(sharing.begin(), sharing.end(),
                     [this](const auto& other) { return other.get() != this && other->awake(); });
}

Status Handle::sleep() {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return gone(identity_);
  if (asleep_) return ok_status();
  engine_->drop_context();
  engine_->release_staging();
  asleep_ = fresh_ = true;
  note_locked();
  // Asked after the others can see that this one sleeps: of two that go at once, one sees the other (rest()).
  if (another_is_awake()) return ok_status();
  PausedSharers sharers(*this);
  Status rested = rest_locked(sharers);
  if (!rested.ok()) {
    asleep_ = false;
    (void)restore_locked(previous());  // TensorRT keeps the budget when it refuses another: a context is missing
  }
  return rested;
}

void Handle::rest() {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr || !asleep_ || wakes_to_ || another_is_awake()) return;
  PausedSharers sharers(*this);
  const Status rested = rest_locked(sharers);
  if (!rested.ok()) log_notes(identity_.name, {"warning: it sleeps on its weights: " + rested.failure().message()});
}

Status Handle::rest_locked(PausedSharers& sharers) {
  const int64_t budget = engine_->budget();
  Status set = engine_->streamable_bytes() > 0 ? engine_->set_budget(0) : ok_status();
  if (!set.ok()) return set;
  wakes_to_ = budget;
  sharers.agree_with(*this);
  note_locked();
  return set;
}

Status Handle::wake() {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return gone(identity_);
  if (!asleep_) return ok_status();
  std::vector<std::string> notes;
  if (!wakes_to_) {  // others on these weights are awake, and so is their budget
    Status made = engine_->make_context();
    if (!made.ok()) return made;
    asleep_ = false;
    note_locked();
    return made;
  }
  PausedSharers sharers(*this);
  const int64_t keep_free = std::max(keep_free_, headroom_bytes(engine_->device_name()));
  auto resumed = resume_budget(*engine_, {*wakes_to_, source_, automatic_ || taken_}, keep_free, identity_.name);
  if (!resumed.ok()) {
    if (engine_->streamable_bytes() > 0) {
      const Status set = engine_->set_budget(0);
      if (!set.ok()) log_notes(identity_.name, {"warning: it sleeps on its weights: " + set.failure().message()});
    }
    note_locked();
    return std::move(resumed).failure();
  }
  asleep_ = false;
  wakes_to_.reset();
  sharers.agree_with(*this);
  count_decision_locked(noted_.clipped, resumed.value().ladder_steps);  // written under turns_ too
  note_locked();
  log_notes(identity_.name, resumed.value().notes);
  return ok_status();
}

void Handle::wake_others(const Applied& applied) {
  std::lock_guard<Turns> lock(turns_);
  source_ = applied.source;
  automatic_ = applied.automatic;
  taken_.reset();
  keep_free_ = applied.keep_free;
  wakes_to_.reset();
  count_decision_locked(applied.clipped, 0);  // the steps were the other's
  note_locked();
}

}  // namespace torchtrt_ws
