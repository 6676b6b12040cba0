#include "delegate/refitting.h"

#include <new>
#include <utility>

#include "delegate/error.h"
#include "engine/log.h"

namespace torchtrt_ws {

Handle::Refitting::Refitting(Handle& handle) : handle_(handle), turn_(handle.turns_), sharers_(handle) {
  if (handle_.engine_ == nullptr) return;
  had_context_ = handle_.engine_->has_context();
  handle_.engine_->drop_context();
}

Handle::Refitting::~Refitting() {
  undo_ = nullptr;
  handle_.fresh_ = true;
}

Status Handle::Refitting::refit(const std::vector<NewWeight>& weights) {
  if (handle_.engine_ == nullptr) return gone(handle_.identity_);
  auto refitted = handle_.engine_->refit(weights);
  if (!refitted.ok()) return std::move(refitted).failure();
  undo_ = std::move(refitted).value();
  return ok_status();
}

void Handle::Refitting::undo() {
  if (!undo_) return;
  try {
    const Status undone = std::exchange(undo_, nullptr)();
    if (undone.ok()) return;
    log_notes(handle_.identity_.name,
              {"warning: the old weights could not be put back: " + undone.failure().message()});
  } catch (const std::bad_alloc&) {  // others have theirs put back all the same
    log_error("warning: the old weights of an engine could not be put back: no host memory");
  }
}

void Handle::Refitting::resume() {
  if (handle_.engine_ == nullptr) return;
  Status made = had_context_ ? handle_.engine_->make_context() : ok_status();
  Status others = sharers_.make_contexts();
  if (made.ok()) made = std::move(others);
  handle_.note_locked();
  if (made.ok() || made.failure().code == ErrorCode::WrongState) return;  // refused, and refit() said why
  log_notes(handle_.identity_.name, {"warning: without a context until its next run: " + made.failure().message()});
}

}  // namespace torchtrt_ws
