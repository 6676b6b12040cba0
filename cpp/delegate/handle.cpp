#include "delegate/handle.h"

#include <utility>

#include "delegate/apply.h"
#include "delegate/arguments.h"
#include "delegate/error.h"
#include "delegate/live_handles.h"

namespace torchtrt_ws {
namespace {

using executorch::runtime::EValue;
using executorch::runtime::Span;

bool asks_nothing(const Request& request) {
  return !request.engine && std::holds_alternative<std::monostate>(request.general);
}

Failure gone(const Identity& identity) {
  return {ErrorCode::WrongState, "engine '" + identity.name + "'", "a call after it was destroyed",
          "calls while its program is loaded", "Load the program again"};
}

}  // namespace

Handle::Handle(Identity identity, std::optional<Shares> shares, std::unique_ptr<Engine> engine, const Applied& applied,
               std::optional<PayloadKey> key)
    : identity_(std::move(identity)),
      shares_(shares),
      key_(std::move(key)),
      engine_(std::move(engine)),
      weights_(engine_->weights()),
      source_(applied.source),
      automatic_(applied.automatic) {
  noted_.id = identity_.id;
  noted_.name = identity_.name;
  noted_.method = identity_.method;
  noted_.kind = identity_.kind;
  noted_.source.reserve(32);  // longer than all sources: noting takes no memory
  note_locked();
}

Status Handle::execute(Span<EValue*> args) {
  const Turns::Run turn(turns_);
  if (engine_ == nullptr) return gone(identity_);
  const auto start = std::chrono::steady_clock::now();
  if (!engine_->has_context()) {  // a change of budget failed, and so did going back: there may be room by now
    Status made = engine_->make_context();
    if (!made.ok()) return made;
    fresh_ = true;
  }
  Status checked = check_inputs(*engine_, args, inputs_);
  if (!checked.ok()) return checked;
  OutputArguments outputs(*engine_, args);
  Status ran = engine_->run(inputs_, outputs);
  if (!ran.ok()) return ran;
  count_run_locked(std::chrono::steady_clock::now() - start);
  return ran;
}

/// The other engines on the same weights, with their turns held and without contexts: only so the budget can change.
/// planning() is held, so nobody else holds several turns.
class Handle::PausedSharers {
 public:
  explicit PausedSharers(const Handle& own) {
    Handles sharers = LiveHandles::instance().sharing(own.weights_);
    paused_.reserve(sharers.size());  // before a turn is held
    for (auto& handle : sharers) {
      if (handle.get() == &own) continue;
      handle->turns_.lock();
      const Engine* engine = handle->engine_.get();
      const bool had_context = engine != nullptr && engine->has_context();
      paused_.push_back({std::move(handle), had_context});
    }
    drop_contexts();
  }
  ~PausedSharers() {
    for (Paused& paused : paused_) {
      paused.handle->fresh_ = true;
      paused.handle->note_locked();
      paused.handle->turns_.unlock();
    }
  }
  /// Of all engines on these weights: the paused ones and the one that pauses them.
  int contexts() const { return static_cast<int>(paused_.size()) + 1; }

  PausedSharers(const PausedSharers&) = delete;
  PausedSharers& operator=(const PausedSharers&) = delete;

  void drop_contexts() noexcept {
    for (Paused& paused : paused_) {
      if (paused.handle->engine_ != nullptr) paused.handle->engine_->drop_context();
    }
  }

  /// Makes the contexts again; all are tried, and the first failure is returned. An engine without one makes it when it
  /// runs next.
  Status make_contexts() {
    Status all = ok_status();
    for (Paused& paused : paused_) {
      if (!paused.had_context) continue;
      Status made = paused.handle->engine_->make_context();
      if (all.ok() && !made.ok()) all = std::move(made);
    }
    return all;
  }

  /// The budget is everybody's, and so is who decided it.
  void decided_by(Source source, bool automatic) noexcept {
    for (Paused& paused : paused_) {
      paused.handle->source_ = source;
      paused.handle->automatic_ = automatic;
    }
  }

 private:
  struct Paused {
    std::shared_ptr<Handle> handle;
    bool had_context;
  };
  std::vector<Paused> paused_;
};

/// Drops all contexts on these weights, lets `change` set a budget and make the engine's own, and makes the others'
/// again. When something fails all is as `previous` says.
Status Handle::change_locked(PausedSharers& sharers, const Previous& previous, const std::function<Status()>& change) {
  engine_->drop_context();
  Status changed = change();
  if (changed.ok()) {
    changed = sharers.make_contexts();
    if (!changed.ok()) {
      sharers.drop_contexts();
      engine_->drop_context();
    }
  }
  if (!changed.ok()) {
    (void)restore_locked(previous);  // the log says when it fails; the caller learns what it asked for
    (void)sharers.make_contexts();
  }
  sharers.decided_by(source_, automatic_);
  fresh_ = true;
  note_locked();
  return changed;
}

Result<std::unique_ptr<Engine>> Handle::share(Payload& payload, const OpenRequest& request) const {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return std::unique_ptr<Engine>();
  return engine_->share(payload, request);
}

Result<std::optional<Handle::Previous>> Handle::change_budget(const Request& request, const Handles& others) {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr || asks_nothing(request)) return std::optional<Previous>();
  const Previous previous{engine_->budget(), source_, automatic_};
  PausedSharers sharers(*this);
  ProgramMemory memory(*engine_, shares_, others, request.margin, {}, {sharers.contexts(), sharers.contexts()});
  std::vector<std::string> notes;
  Status changed = change_locked(sharers, previous, [&]() -> Status {
    auto applied = apply_budget(*engine_, request, shares_, identity_.name, memory);
    if (!applied.ok()) return std::move(applied).failure();
    source_ = applied.value().source;
    automatic_ = applied.value().automatic;
    notes = std::move(applied.value().notes);
    return ok_status();
  });
  if (!changed.ok()) return std::move(changed).failure();
  log_notes(identity_.name, notes);
  return std::optional<Previous>(previous);
}

std::optional<Handle::Standing> Handle::standing() const {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return std::nullopt;
  return Standing{engine_->memory(), engine_->budget(), source_, automatic_, engine_->device_name()};
}

int64_t Handle::growth(const Request& request) const {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr || asks_nothing(request)) return 0;
  const int64_t now = engine_->budget();
  const int64_t scratch = engine_->has_context() ? engine_->scratch_bytes() : 0;
  auto decided = resolve(request, {engine_->streamable_bytes(), scratch, shares_, [now](int64_t) { return now; }});
  return decided.ok() ? decided.value().bytes.value_or(now) - now : 0;  // the change itself says what is wrong
}

Status Handle::move_budget(int64_t bytes) {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return gone(identity_);
  PausedSharers sharers(*this);
  return change_locked(sharers, {engine_->budget(), source_, automatic_}, [&] {
    Status moved = engine_->set_budget(bytes);
    return moved.ok() ? engine_->make_context() : std::move(moved);
  });
}

Handle::Previous Handle::previous() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return noted_previous_;
}

Result<int64_t> Handle::own_choice() const {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return gone(identity_);
  return engine_->automatic_budget();
}

Status Handle::undo_change(const Previous& previous) {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return ok_status();
  PausedSharers sharers(*this);
  Status restored = ok_status();
  Status resumed = change_locked(sharers, previous, [&] {
    restored = restore_locked(previous);
    return ok_status();  // there is nothing else to go back to
  });
  return restored.ok() ? resumed : restored;
}

Status Handle::restore_locked(const Previous& previous) {
  source_ = previous.source;
  automatic_ = previous.automatic;
  Status restored = engine_->streamable_bytes() > 0 ? engine_->set_budget(previous.budget) : ok_status();
  if (restored.ok()) restored = engine_->make_context();
  fresh_ = true;
  note_locked();
  if (!restored.ok()) {
    log_notes(identity_.name, {"warning: the old budget could not be put back: " + restored.failure().message()});
  }
  return restored;
}

void Handle::count_run_locked(std::chrono::duration<double> seconds) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ++noted_.runs;
    noted_.seconds += seconds.count();
  }
  if (std::exchange(fresh_, false)) note_locked();
}

void Handle::note_locked() const {
  const bool live = engine_ != nullptr;
  const int64_t streamable = live ? engine_->streamable_bytes() : 0;
  const int64_t budget = live ? engine_->budget() : 0;
  // Without a context a TensorRT engine may be set to another budget to find out.
  const std::optional<int64_t> scratch =
      live && engine_->has_context() ? std::optional<int64_t>(engine_->scratch_bytes()) : std::nullopt;
  const int64_t device = live ? engine_->device_bytes() : 0;
  std::lock_guard<std::mutex> lock(mutex_);
  noted_previous_ = {budget, source_, automatic_};
  noted_.source = source_name(source_);
  noted_.streamable_bytes = streamable;
  noted_.budget_bytes = budget;
  if (scratch || !live) noted_.scratch_bytes = scratch.value_or(0);
  noted_.device_bytes = device;
}

EngineReport Handle::report() const {
  if (const std::unique_lock<Turns> turn(turns_, std::try_to_lock); turn.owns_lock()) note_locked();
  std::lock_guard<std::mutex> lock(mutex_);
  return noted_;
}

void Handle::close() noexcept {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ != nullptr) engine_->drop_context();
  engine_.reset();
  note_locked();
}

}  // namespace torchtrt_ws
