#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "budget/request.h"
#include "budget/resolve.h"
#include "delegate/decision.h"
#include "delegate/program_memory.h"
#include "engine/engine.h"

namespace torchtrt_ws {

/// What became of a request.
struct Applied {
  Source source;
  bool automatic;                  // as Resolution::automatic: the program's memory plan may move it
  std::string requested;           // as Resolution::requested
  int64_t resolved = 0;            // bytes that were decided before any retry; 0 when there was no budget call
  std::vector<std::string> notes;  // for the log, the retries among them
  bool clipped = false;            // as Resolution::clipped
  uint64_t ladder_steps = 0;       // budgets that did not fit
  std::optional<Taken> taken = std::nullopt;  // of the budget, which is that of engines loaded before
  int64_t keep_free = 0;                      // bytes of the device that an automatic budget leaves free
};

/// Decides the budget, sets it and makes the context. Precondition: the engine has no context.
///
/// `memory` is the engine's; other engines of the program whose budgets are automatic make room for this one, and take
/// what it leaves. An automatic budget that does not fit all the same, or whose context does not, is retried with
/// smaller ones down to 0 (budget/ladder.h); an explicit one fails with DoesNotFit, saying what was asked, what was
/// free and the largest budget that fits. On failure the engine has no context.
Result<Applied> apply_budget(Engine& engine, const Request& request, const std::optional<Shares>& shares,
                             const std::string& name, ProgramMemory& memory);

/// The same for an engine on the weights of `first`, which is live: their budget stays, and the engine gets its
/// context. A request for another budget is answered with a warning. Fails with DoesNotFit when there is no room for
/// the context.
Result<Applied> join_budget(Engine& engine, const Request& request, const std::optional<Shares>& shares,
                            const std::string& name, ProgramMemory& memory, const Handle& first);

/// Sets a budget that was decided before and makes the context, as apply_budget() does once it has decided: of an
/// engine that wakes. An automatic one that does not fit becomes the largest that leaves `keep_free` bytes, and goes
/// down the ladder.
Result<Applied> resume_budget(Engine& engine, Decision decision, int64_t keep_free, const std::string& name);

}  // namespace torchtrt_ws
