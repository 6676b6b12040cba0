#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "budget/memory_plan.h"
#include "budget/resolve.h"
#include "delegate/handle.h"

namespace torchtrt_ws {

/// Held while a budget is decided and applied: what is free on a device is everybody's, and two loads that count it at
/// the same time would both take it. Where it stands among the other locks: delegate/handle.h.
std::mutex& planning();

/// The engines of one program.
struct ProgramEngines {
  Handles others;  ///< that are live and may have to move: not the one whose budget is decided
  int live = 1;    ///< that are live, that one and those on its weights among them
};

/// Execution contexts of one program on the same weights: each of its engines has as many.
struct ContextCount {
  int all = 1;   ///< that there are or will be
  int live = 1;  ///< that there are now, or were until the budget began to change
};

/// The memory of one program, while one of its engines takes its budget: who else of the program can move, what is
/// still to come, and what each gets. For automatic budgets; others are never moved. planning() is held while it lives.
class ProgramMemory {
 public:
  /// `engine` has no context. `program`: of the engines of the same program. `shares`: what the file records of
  /// `engine`; nullopt for a file without our metadata. `sharers`: of other programs, on the same weights, whose budget
  /// is this program's too. `contexts`: how many automatic budgets leave room for.
  ProgramMemory(Engine& engine, const std::optional<Shares>& shares, ProgramEngines program,
                std::optional<int64_t> margin, Handles sharers = {}, ContextCount contexts = {});

  /// The engine's part of what is free: resolve() calls it for an automatic budget. `reserve` bytes stay free; where
  /// that is 0 the margin does, unless the engine's own choice eats into it, as it may.
  ///
  /// Everything stays on the device if it fits. Else each engine gets its part by plan_memory(), those still to come
  /// among them. A single engine gets the larger of that and its own choice, within what fits.
  Result<int64_t> choose(int64_t reserve);

  /// Bytes that automatic budgets leave free on the device: what choose() was asked for, else the margin.
  int64_t keep_free() const;

  /// Before the engine's own budget is set to `budget`: takes from the others what they hold beyond their part, if the
  /// engine needs it; an explicit budget among them. Logs what it moves.
  void make_room(int64_t budget);

  /// After that: where nothing is still to come, the others grow to their part, if it is worth it.
  void use_what_is_left();

  /// The engine did not get its budget after all: the others have theirs back.
  void put_back();

  /// One line: what was free, what each engine got, what is left, and what limits it. `own`: the engine's report. Empty
  /// while engines are still to come.
  std::string summary(const EngineReport& own) const;

 private:
  struct Member {
    std::shared_ptr<Handle> handle;
    Demand demand;
    int64_t before;  // its budget when this began
    int64_t budget;  // now
    int64_t target;  // in the plan
  };

  MemoryFacts own_memory() const;
  Demand demand_of_all(const Demand& one, bool in_block, bool streams) const;
  int engines_to_come() const;
  int64_t streamable_to_come() const;
  int64_t collect();  // fills members_; what they and the engine could share, in bytes
  std::vector<Demand> demands(const Demand& own) const;
  int64_t plan(int64_t available, const Demand& own);  // sets the members' targets; the engine's own part
  void move(Member& member, int64_t budget, const char* why);

  Engine& engine_;
  const std::optional<Shares> shares_;
  const Handles others_;
  const int live_;
  const Handles sharers_;
  const ContextCount contexts_;
  const std::optional<int64_t> margin_;

  std::optional<int64_t> chosen_;  // once choose() was called
  int64_t keep_free_ = 0;
  std::vector<Member> members_;  // of others_, those that may be moved
  std::vector<Demand> fixed_;    // of others_, what those take of the block that may not
  Working working_ = Working::Apart;
};

}  // namespace torchtrt_ws
