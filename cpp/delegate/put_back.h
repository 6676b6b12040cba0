#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "base/result.h"
#include "delegate/handle.h"

namespace torchtrt_ws {

/// Engines with what they had.
using BudgetsBefore = std::vector<std::pair<std::shared_ptr<Handle>, Handle::Previous>>;

/// What `handles` have now. planning() is held, so that it stays so until the caller changes it.
BudgetsBefore budgets_of(const Handles& handles);

/// Puts back what changed since, first where that frees memory. Tries all; the first failure. planning() is held.
Status put_back(const BudgetsBefore& before);

}  // namespace torchtrt_ws
