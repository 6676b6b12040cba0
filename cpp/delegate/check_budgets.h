#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "budget/request.h"
#include "budget/resolve.h"
#include "torchtrt_ws/check.h"

namespace torchtrt_ws {

/// What is known of one engine's weights before it is loaded. Sizes are bytes.
struct BudgetQuestion {
  std::string name;  ///< Of the engine.
  Request request;
  std::optional<Shares> shares;
  int64_t streamable;              ///< As the file records it, else the engine's size.
  bool estimated;                  ///< `streamable` is.
  std::optional<int64_t> scratch;  ///< As the file estimates it.
  int64_t resident;                ///< On the device whatever the budget.
  std::string device;
  std::optional<int64_t> free;        ///< There; nullopt: cannot be told.
  std::optional<int64_t> lock_limit;  ///< Of what can be locked in memory; nullopt: nothing is.
  std::optional<size_t> weights_of;   ///< Which question has the same weights, in front of this one.
};

/// What the load will decide, as far as that can be told.
struct BudgetAnswer {
  CheckFact fact;                 ///< Called "budget".
  std::optional<int64_t> budget;  ///< nullopt: not known.
};

/// The budget of each engine, as resolve() decides it; automatic ones are planned together, as at load. Pure.
std::vector<BudgetAnswer> foretell_budgets(const std::vector<BudgetQuestion>& questions);

/// For each device what the budgets take of it, beside what is free ("memory"), and what can be locked of it ("lock").
/// Execution contexts are not in it, nor scratch that the file does not record. Pure.
std::vector<CheckFact> foretell_memory(const std::vector<BudgetQuestion>& questions,
                                       const std::vector<BudgetAnswer>& answers);

}  // namespace torchtrt_ws
