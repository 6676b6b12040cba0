#pragma once

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/span.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "budget/ladder.h"
#include "budget/request.h"
#include "budget/resolve.h"
#include "delegate/decision.h"
#include "delegate/sharing.h"
#include "delegate/turns.h"
#include "engine/engine.h"
#include "engine/engine_kind.h"
#include "torchtrt_ws/engines.h"

namespace torchtrt_ws {

/// What names one loaded engine; never changes.
struct Identity {
  uint64_t id;
  std::string name;  // fit for a message (base/engine_name.h), as `kind` is: it is registered
  std::string method;
  std::string kind;
  const void* scope;  // the runtime allocator, which one extension::Module's methods share: it tells programs apart
  std::string variant = {};  // EngineReport::variant
};

struct Applied;         // delegate/apply.h
struct ProgramEngines;  // delegate/program_memory.h
class Handle;
using Handles = std::vector<std::shared_ptr<Handle>>;

/// One loaded engine behind an ExecuTorch delegate handle.
///
/// The delegate has five kinds of locks, taken in this order. This is the only place that says how they are used.
///
///     opening()            (delegate/sharing.h) one for each kind and size of engine. A load's, until its engine is
///                          live; and those of the engines that a refit changes, in the order of their addresses.
///     planning()           (delegate/program_memory.h) who decides and applies budgets, and who sleeps: one load, one
///                          change, one call of torchtrt_ws/memory.h at a time. Guards each device's headroom
///                          (delegate/headroom.h). Not taken by runs or reports, and by destroying only where it
///                          leaves weights whose other engines all sleep.
///     Handle::turns_       the engine, and the members below it. execute(), sleep(), wake(), close() and what changes
///                          the budget hold it for the whole call. A change waits for the calls before it, and no
///                          later run overtakes it; runs among themselves take turns as Turns::Run says. report()
///                          takes it only where nobody has it or waits for it. Who holds planning() may take those of
///                          several handles.
///     LiveHandles::mutex_  the list of live handles. Held to read or change it, never across a call of an engine;
///                          nothing is taken under it.
///     Handle::mutex_       what report() answers while a call is busy. Held for moments, to copy; taken by itself or
///                          under turns_, and nothing is taken, called or waited for under it.
///
/// Lines of log are written under the first three, and a log that is Python's needs Python's lock: who waits for one of
/// them does not keep that (engine/python_lock.h).
///
/// So a report never waits for a run or a change. Destroying drops the engine under turns_, then unlists it: a
/// change_budget() finds either its context or no engine.
class Handle {
 public:
  /// `key`: of its bytes, for others to share its weights; nullopt: nobody may.
  Handle(Identity identity, std::optional<Shares> shares, std::unique_ptr<Engine> engine, const Applied& applied,
         std::optional<PayloadKey> key = std::nullopt);

  const Identity& identity() const { return identity_; }

  /// What the file records about its program; nullopt for a file without our metadata.
  const std::optional<Shares>& shares() const { return shares_; }

  const std::optional<PayloadKey>& key() const { return key_; }

  /// Tells whose weights it runs on: Engine::weights().
  const void* weights() const { return weights_; }

  /// Engine::share(); null also when the engine is gone. Waits for a call in flight.
  Result<std::unique_ptr<Engine>> share(Payload& payload, const OpenRequest& request) const;

  /// Runs once. Errors: BadArgument, and what the engine's run() returns.
  Status execute(executorch::runtime::Span<executorch::runtime::EValue*> args);

  /// Applies a request of load-time options (no baked value) and returns what was there before, for undo_change().
  /// `program`: the engines of the same program, which may have to move for it.
  /// When it fails the old budget is back. nullopt: the engine is gone, or nothing was asked of it. Fails with
  /// WrongState while it sleeps.
  struct Previous {
    Decision decision;  // of an engine that sleeps, what it will wake to
    std::optional<Taken> taken = std::nullopt;
    bool operator==(const Previous& other) const { return decision == other.decision && taken == other.taken; }
  };
  Result<std::optional<Previous>> change_budget(const Request& request, const ProgramEngines& program);

  /// Fails with WrongState where change_budget() would: it sleeps, and something is asked of it.
  Status check_change(const Request& request) const;

  /// What a plan of the program's memory needs to know; nullopt: the engine is gone.
  struct Standing {
    MemoryFacts memory;
    int64_t budget;
    Source source;
    bool automatic;  // the plan may move it
    std::string device;
    bool asleep;                 // without a context
    std::optional<Taken> taken;  // of the budget
  };
  std::optional<Standing> standing() const;

  /// Sets the budget to the part that a plan gives it; who decided stays the same. When it fails the old budget is
  /// back.
  Status move_budget(int64_t bytes);

  /// Takes of the budget for make_room() or the headroom, which becomes its source; `bytes` is less than it is. When it
  /// fails the old budget is back.
  Status take(int64_t bytes, Source who);

  /// Gives back of what take() took; the whole of it is decided by whom it was. When it fails the old budget is back.
  Status give(int64_t bytes);

  /// What make_room() left may be given back by follow() from now on.
  void let_go();

  /// By how many bytes `request` would change the budget, as far as that can be told before it is tried.
  int64_t growth(const Request& request) const;

  /// The budget and who decided it, for undo_change(). Waits for nobody; true while planning() is held, which changes
  /// need.
  Previous previous() const;

  /// What the engine would choose by itself. Errors: WrongState when it is gone; what its runtime says.
  Result<int64_t> own_choice() const;

  /// Puts back what a change_budget() that succeeded replaced, or what previous() told. Where that cannot be, it keeps
  /// what it has, and the log says so too.
  Status undo_change(const Previous& previous);

  // The three below: planning() is held.

  /// Waits for the calls before it, drops the context and staging, and puts the budget to 0 unless another engine on
  /// these weights is awake. Runs and changes fail with WrongState then. Does nothing when it sleeps. When it fails it
  /// is awake, with the budget it had.
  Status sleep();

  /// Sets the budget of before and makes the context; an automatic budget that does not fit goes down the ladder. Where
  /// another engine on these weights is awake the budget is that one's. Does nothing when it is awake. When it fails it
  /// still sleeps.
  Status wake();

  /// Engine::reset_state(). Waits for the calls before it. Fails with WrongState when the engine is gone.
  Status reset_state();

  /// Engine::refittable_weights(). Waits for the calls before it. Fails with WrongState when the engine is gone.
  Result<std::vector<RefittableWeight>> refittable_weights() const;

  /// While its weights, and those of all that share them, change (delegate/refitting.h).
  class Refitting;

  /// An engine on these weights was destroyed: where all others sleep, the budget goes to 0 as with sleep().
  void rest();

  /// An engine that was loaded on these weights, all of whose others sleep, has decided the budget.
  void wake_others(const Applied& applied);

  /// Has an engine that does not sleep. Waits for nobody; stays true or false while planning() is held, but for an
  /// engine that is destroyed.
  bool awake() const;

  int priority() const;
  void set_priority(int priority);

  /// Budgets that are worth taking, in bytes; empty: not known (budget/room_plan.h).
  std::vector<int64_t> steps() const;
  void set_steps(std::vector<int64_t> steps);

  /// What the engine says now; while it is busy with another call, what it said after the one before, with the runs
  /// since. Waits for no call of the engine.
  EngineReport report() const;

  /// How many calls wait for their turn.
  size_t waiting() const { return turns_.waiting(); }

  /// Drops the engine; waits for a call in flight.
  void close() noexcept;

  class PausedSharers;  // delegate/paused_sharers.h

 private:
  Status change_locked(PausedSharers& sharers, const Previous& previous, const std::function<Status()>& change);
  Status set_locked(int64_t bytes);
  Status rest_locked(PausedSharers& sharers);
  Previous previous_locked() const;
  bool another_is_awake() const;
  Status restore_locked(const Previous& previous);
  void decide_locked(const Previous& previous) noexcept;
  void count_run_locked(std::chrono::duration<double> seconds);
  void count_decision_locked(bool clipped, uint64_t ladder_steps);
  void note_locked() const;

  const Identity identity_;
  const std::optional<Shares> shares_;
  const std::optional<PayloadKey> key_;

  mutable Turns turns_;
  std::unique_ptr<Engine> engine_;
  const void* const weights_;
  Source source_;
  bool automatic_;
  std::optional<Taken> taken_;
  int64_t keep_free_;  // bytes of the device that an automatic budget leaves free when it wakes
  bool asleep_ = false;
  std::optional<int64_t> wakes_to_;  // the budget, when all engines on these weights sleep
  bool fresh_ = true;                // no run since the context was made: the next one may take memory for staging
  std::vector<TensorView> inputs_;   // of the call in progress; kept so that a call allocates nothing
  std::vector<size_t> planned_;      // bytes that the program planned for each output; empty before the first run

  mutable std::mutex mutex_;
  mutable EngineReport noted_;
  double waited_seconds_ = 0;  // in runs that waited for their work
  uint64_t waited_bytes_ = 0;  // that these streamed
  mutable Previous noted_previous_{{0, Source::None, false}};
  mutable bool noted_awake_ = true;
  std::vector<int64_t> steps_;
};

/// A call of an engine that was destroyed, and one of an engine that sleeps; `what` is "a run", say.
Failure gone(const Identity& identity);
Failure sleeps(const Identity& identity, const char* what);

}  // namespace torchtrt_ws
