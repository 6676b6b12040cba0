#pragma once

#include <vector>

#include "base/result.h"
#include "budget/request.h"
#include "delegate/live_handles.h"

namespace torchtrt_ws {

/// Changes the budgets of `handles`, all or none: options are read for every engine first, those that shrink go first,
/// and when one engine cannot take its budget the ones changed before it go back. A key that names none of them is
/// refused (BadArgument).
Status change_budgets(const std::vector<Option>& options, const Handles& handles);

}  // namespace torchtrt_ws
