#include "delegate/handle.h"

#include <algorithm>
#include <utility>

#include "delegate/apply.h"
#include "delegate/arguments.h"
#include "delegate/error.h"
#include "delegate/paused_sharers.h"
#include "engine/caller_stream.h"

namespace torchtrt_ws {
namespace {

using executorch::runtime::EValue;
using executorch::runtime::Span;

bool asks_nothing(const Request& request) {
  return !request.engine && std::holds_alternative<std::monostate>(request.general);
}

}  // namespace

Failure gone(const Identity& identity) {
  return {ErrorCode::WrongState, "engine '" + identity.name + "'", "a call after it was destroyed",
          "calls while its program is loaded", "Load the program again"};
}

Handle::Handle(Identity identity, std::optional<Shares> shares, std::unique_ptr<Engine> engine, const Applied& applied,
               std::optional<PayloadKey> key)
    : identity_(std::move(identity)),
      shares_(shares),
      key_(std::move(key)),
      engine_(std::move(engine)),
      weights_(engine_->weights()),
      source_(applied.source),
      automatic_(applied.automatic),
      taken_(applied.taken),
      keep_free_(applied.keep_free) {
  noted_.id = identity_.id;
  noted_.name = identity_.name;
  noted_.method = identity_.method;
  noted_.kind = identity_.kind;
  noted_.variant = identity_.variant;
  noted_.device = engine_->device_name();
  noted_.refittable = engine_->refittable();
  planned_.reserve(engine_->outputs().size());  // so that a run takes no memory
  noted_.source.reserve(32);                    // longer than all sources: noting takes no memory
  count_decision_locked(applied.clipped, applied.ladder_steps);
  note_locked();
}

Status Handle::execute(Span<EValue*> args) {
  note_event(nullptr);  // an engine that leaves work behind says so
  const Turns::Run turn(turns_);
  if (engine_ == nullptr) return gone(identity_);
  if (asleep_) return sleeps(identity_, "a run");
  const auto start = std::chrono::steady_clock::now();
  if (!engine_->has_context()) {  // a change of budget failed, and so did going back: there may be room by now
    Status made = engine_->make_context();
    if (!made.ok()) return made;
    fresh_ = true;
  }
  Status checked = check_inputs(*engine_, args, inputs_);
  if (!checked.ok()) return checked;
  if (planned_.empty()) note_planned(*engine_, args, planned_);
  OutputArguments outputs(*engine_, args, planned_);
  Status ran = engine_->run(inputs_, outputs);
  if (!ran.ok()) return ran;
  count_run_locked(std::chrono::steady_clock::now() - start);
  return ran;
}

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
  sharers.agree_with(*this);
  fresh_ = true;
  note_locked();
  return changed;
}

Result<std::unique_ptr<Engine>> Handle::share(Payload& payload, const OpenRequest& request) const {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return std::unique_ptr<Engine>();
  return engine_->share(payload, request);
}

Status Handle::check_change(const Request& request) const {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr || asks_nothing(request) || !asleep_) return ok_status();
  return sleeps(identity_, "a change of budget");
}

Result<std::optional<Handle::Previous>> Handle::change_budget(const Request& request, const ProgramEngines& program) {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr || asks_nothing(request)) return std::optional<Previous>();
  if (asleep_) return sleeps(identity_, "a change of budget");
  const Previous previous = previous_locked();
  PausedSharers sharers(*this);
  ProgramMemory memory(*engine_, shares_, program, request.margin, {}, {sharers.contexts(), sharers.contexts()});
  std::vector<std::string> notes;
  Status changed = change_locked(sharers, previous, [&]() -> Status {
    auto applied = apply_budget(*engine_, request, shares_, identity_.name, memory);
    if (!applied.ok()) return std::move(applied).failure();
    source_ = applied.value().source;
    automatic_ = applied.value().automatic;
    keep_free_ = applied.value().keep_free;
    taken_.reset();  // what was wanted before is so no longer
    count_decision_locked(applied.value().clipped, applied.value().ladder_steps);
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
  return Standing{engine_->memory(), engine_->budget(), source_, automatic_, engine_->device_name(), asleep_, taken_};
}

int64_t Handle::growth(const Request& request) const {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr || asleep_ || asks_nothing(request)) return 0;
  const int64_t now = engine_->budget();
  const int64_t scratch = engine_->has_context() ? engine_->scratch_bytes() : 0;
  auto decided = resolve(request, {engine_->streamable_bytes(), scratch, shares_, [now](int64_t) { return now; }});
  return decided.ok() ? decided.value().bytes.value_or(now) - now : 0;  // the change itself says what is wrong
}

Status Handle::move_budget(int64_t bytes) {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return gone(identity_);
  PausedSharers sharers(*this);
  return change_locked(sharers, previous_locked(), [&] { return set_locked(bytes); });
}

Status Handle::take(int64_t bytes, Source who) {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return gone(identity_);
  if (asleep_) return sleeps(identity_, "a change of budget");
  const Previous previous = previous_locked();
  PausedSharers sharers(*this);
  return change_locked(sharers, previous, [&] {
    Status set = set_locked(bytes);
    if (!set.ok()) return set;
    if (!taken_) taken_ = Taken{previous.decision, std::nullopt};
    if (who == Source::MakeRoom) taken_->left = bytes;
    source_ = who;
    automatic_ = false;
    return set;
  });
}

Status Handle::give(int64_t bytes) {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return gone(identity_);
  if (asleep_) return sleeps(identity_, "a change of budget");
  if (!taken_) return ok_status();
  PausedSharers sharers(*this);
  return change_locked(sharers, previous_locked(), [&] {
    Status set = set_locked(bytes);
    if (!set.ok()) return set;
    if (bytes >= taken_->wanted.budget) {
      source_ = taken_->wanted.source;
      automatic_ = taken_->wanted.automatic;
      taken_.reset();
    } else if (taken_->left == bytes) {
      source_ = Source::MakeRoom;
    }
    return set;
  });
}

void Handle::let_go() {
  std::lock_guard<Turns> lock(turns_);
  if (taken_) taken_->left.reset();
  note_locked();
}

Status Handle::set_locked(int64_t bytes) {
  Status set = engine_->set_budget(bytes);
  return set.ok() ? engine_->make_context() : set;
}

Handle::Previous Handle::previous() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return noted_previous_;
}

Handle::Previous Handle::previous_locked() const {
  return {{wakes_to_ ? *wakes_to_ : engine_->budget(), source_, automatic_}, taken_};
}

bool Handle::awake() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return noted_awake_;
}

int Handle::priority() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return noted_.priority;
}

void Handle::set_priority(int priority) {
  std::lock_guard<std::mutex> lock(mutex_);
  noted_.priority = priority;
}

std::vector<int64_t> Handle::steps() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return steps_;
}

void Handle::set_steps(std::vector<int64_t> steps) {
  std::lock_guard<std::mutex> lock(mutex_);
  steps_.swap(steps);
}

Result<int64_t> Handle::own_choice() const {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return gone(identity_);
  return engine_->automatic_budget();
}

Status Handle::reset_state() {
  std::lock_guard<Turns> lock(turns_);
  return engine_ == nullptr ? Status(gone(identity_)) : engine_->reset_state();
}

Result<std::vector<RefittableWeight>> Handle::refittable_weights() const {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return gone(identity_);
  auto takes = engine_->refittable_weights();
  if (takes.ok()) return takes;
  Failure none = std::move(takes).failure();
  none.subject = "engine '" + identity_.name + "'";
  return none;
}

Status Handle::undo_change(const Previous& previous) {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ == nullptr) return ok_status();
  if (asleep_ && !wakes_to_) return ok_status();  // the budget is that of those that are awake
  PausedSharers sharers(*this);
  if (asleep_) {
    wakes_to_ = previous.decision.budget;
    decide_locked(previous);
    sharers.agree_with(*this);
    note_locked();
    return ok_status();
  }
  return change_locked(sharers, previous_locked(), [&] { return restore_locked(previous); });
}

void Handle::decide_locked(const Previous& previous) noexcept {
  source_ = previous.decision.source;
  automatic_ = previous.decision.automatic;
  taken_ = previous.taken;
}

Status Handle::restore_locked(const Previous& previous) {
  decide_locked(previous);
  Status restored = engine_->streamable_bytes() > 0 ? engine_->set_budget(previous.decision.budget) : ok_status();
  if (restored.ok()) restored = engine_->make_context();
  fresh_ = true;
  note_locked();
  if (!restored.ok()) {
    log_notes(identity_.name, {"warning: the old budget could not be put back: " + restored.failure().message()});
  }
  return restored;
}

void Handle::count_run_locked(std::chrono::duration<double> seconds) {
  const bool waited = last_event() == nullptr;
  const EngineCounters counters = engine_->counters();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto streamed = static_cast<uint64_t>(std::max<int64_t>(noted_.streamable_bytes - noted_.budget_bytes, 0));
    ++noted_.runs;
    noted_.seconds += seconds.count();
    noted_.streamed_bytes += streamed;
    if (waited) {
      waited_seconds_ += seconds.count();
      waited_bytes_ += streamed;
    }
    noted_.graph_hits = counters.graph_hits;
  }
  if (std::exchange(fresh_, false)) note_locked();
}

void Handle::count_decision_locked(bool clipped, uint64_t ladder_steps) {
  std::lock_guard<std::mutex> lock(mutex_);
  noted_.clipped = clipped;
  noted_.ladder_steps += ladder_steps;
}

void Handle::note_locked() const {
  const bool live = engine_ != nullptr;
  const int64_t streamable = live ? engine_->streamable_bytes() : 0;
  const int64_t budget = live ? engine_->budget() : 0;
  // Without a context a TensorRT engine may be set to another budget to find out.
  const bool knows_scratch = live && engine_->has_context();
  const int64_t scratch = knows_scratch ? engine_->scratch_bytes() : 0;
  const int64_t device = live ? engine_->device_bytes() : 0;
  const EngineCounters counters = live ? engine_->counters() : EngineCounters{};
  std::lock_guard<std::mutex> lock(mutex_);
  noted_previous_ = {{wakes_to_.value_or(budget), source_, automatic_}, taken_};
  noted_awake_ = live && !asleep_;
  noted_.source = source_name(source_);
  noted_.streamable_bytes = streamable;
  noted_.budget_bytes = budget;
  noted_.wanted_bytes = taken_ ? taken_->wanted.budget : wakes_to_.value_or(budget);
  noted_.asleep = asleep_;
  if (knows_scratch || !live) noted_.scratch_bytes = scratch;
  noted_.device_bytes = device;
  if (!live) return;  // what it has counted stays
  noted_.graph_hits = counters.graph_hits;
  noted_.cache_hits = counters.cache_hits;
  noted_.cache_misses = counters.cache_misses;
  noted_.context_seconds = counters.context_seconds;
}

EngineReport Handle::report() const {
  if (const std::unique_lock<Turns> turn(turns_, std::try_to_lock); turn.owns_lock()) note_locked();
  std::lock_guard<std::mutex> lock(mutex_);
  EngineReport now = noted_;
  if (waited_seconds_ > 0) now.streamed_bytes_per_second = static_cast<double>(waited_bytes_) / waited_seconds_;
  return now;
}

void Handle::close() noexcept {
  std::lock_guard<Turns> lock(turns_);
  if (engine_ != nullptr) engine_->drop_context();
  engine_.reset();
  note_locked();
}

}  // namespace torchtrt_ws
