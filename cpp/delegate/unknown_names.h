#pragma once

#include <string>
#include <vector>

#include "budget/request.h"
#include "delegate/live_handles.h"

namespace torchtrt_ws {

/// Warnings, for the log, about load-time options that name none of `handles`: the engines of one program, all of them
/// loaded. While some are not, such an option may be for one of these.
std::vector<std::string> unknown_names(const std::vector<Option>& options, const Handles& handles);

}  // namespace torchtrt_ws
