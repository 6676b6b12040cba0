#include "torchtrt_ws/saved_budgets.h"

#include <mutex>

#include "delegate/error.h"
#include "delegate/live_handles.h"
#include "delegate/program_memory.h"
#include "delegate/put_back.h"
#include "engine/python_lock.h"

namespace torchtrt_ws {
namespace {

/// SavedBudget is a struct that its holder may fill with anything.
Result<Source> source_named(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(Source::None); ++i) {
    const auto source = static_cast<Source>(i);
    if (name == source_name(source)) return source;
  }
  return Failure{ErrorCode::BadArgument, "a saved budget", "another source", "one that save_budgets() found",
                 "Pass what it returned"};
}

}  // namespace

std::vector<SavedBudget> save_budgets(const std::vector<uint64_t>& ids) {
  std::vector<SavedBudget> saved;
  const auto lock = lock_patiently(planning());
  for (const uint64_t id : ids) {
    const auto handle = LiveHandles::instance().find(id);
    if (handle == nullptr) continue;
    const Handle::Previous now = handle->previous();
    saved.push_back({id, now.decision.budget, source_name(now.decision.source), now.decision.automatic, std::nullopt});
    if (!now.taken) continue;
    const Decision& wanted = now.taken->wanted;
    saved.back().taken =
        SavedBudget::Taken{wanted.budget, source_name(wanted.source), wanted.automatic, now.taken->left};
  }
  return saved;
}

executorch::runtime::Error restore_budgets(const std::vector<SavedBudget>& budgets) {
  return guarded("restore_budgets", [&]() -> Status {
    BudgetsBefore before;
    for (const SavedBudget& budget : budgets) {
      auto source = source_named(budget.source);
      if (!source.ok()) return std::move(source).failure();
      auto handle = LiveHandles::instance().find(budget.id);
      if (handle == nullptr) continue;
      Handle::Previous previous{{budget.budget_bytes, source.value(), budget.automatic}};
      if (budget.taken) {
        auto wanted = source_named(budget.taken->wanted_source);
        if (!wanted.ok()) return std::move(wanted).failure();
        previous.taken =
            Taken{{budget.taken->wanted_bytes, wanted.value(), budget.taken->automatic}, budget.taken->left_bytes};
      }
      before.emplace_back(std::move(handle), previous);
    }
    const auto lock = lock_patiently(planning());
    return put_back(before);
  });
}

}  // namespace torchtrt_ws
