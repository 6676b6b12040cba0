#pragma once

#include <executorch/runtime/backend/options.h>
#include <executorch/runtime/core/span.h>

#include <memory>
#include <vector>

#include "base/result.h"
#include "budget/request.h"
#include "delegate/handle.h"

namespace torchtrt_ws {

/// Changes the budgets of `handles`, all or none: options are read for every engine first, and when one engine cannot
/// take its budget the ones changed before it go back. A key that names no live engine is refused (BadArgument).
Status change_budgets(const std::vector<Option>& options, const std::vector<std::shared_ptr<Handle>>& handles);

/// Fills the values of the keys that are asked (README, "After load"):
///   "engines"                            names of the live engines, with commas, in loading order
///   "engine.<name>"                      its report as JSON
///   "weight_streaming_budget.<name>"     its budget in bytes
/// A string option holds 255 bytes; an answer that is longer is refused rather than cut.
Status read_live_options(executorch::runtime::Span<executorch::runtime::BackendOption> options,
                         const std::vector<std::shared_ptr<Handle>>& handles);

}  // namespace torchtrt_ws
