#pragma once

#include <executorch/runtime/core/error.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// The budget of one engine at one moment, and who decided it.
struct SavedBudget {
  uint64_t id = 0;           // EngineReport::id
  int64_t budget_bytes = 0;  // EngineReport::budget_bytes
  std::string source;        // EngineReport::source
  bool automatic = false;    // another engine of the program may move it

  /// What make_room() or the headroom took it from (memory.h), for give_back().
  struct Taken {
    int64_t wanted_bytes = 0;
    std::string wanted_source;
    bool automatic = false;
    std::optional<int64_t> left_bytes;  // by make_room()
  };
  std::optional<Taken> taken;
};

/// The budgets of the engines `ids` (LoadScope::ids()), to go back to with restore_budgets(). Engines that are not
/// alive are left out. Waits for a load and for a change of budgets in progress, not for runs.
TORCHTRT_WS_API std::vector<SavedBudget> save_budgets(const std::vector<uint64_t>& ids);

/// Puts back what save_budgets() found: the same bytes, decided by whom they were. Those that take less memory go
/// first; engines that have what they had are left alone, as are those that are gone. Waits as set_budgets() does
/// (engines.h).
///
/// Returns the first failure, after it tried all: MemoryAllocationFailed when somebody took the memory meanwhile,
/// Internal when the engine's runtime fails. last_error() (last_error.h) names the engine.
TORCHTRT_WS_API executorch::runtime::Error restore_budgets(const std::vector<SavedBudget>& budgets);

}  // namespace torchtrt_ws
