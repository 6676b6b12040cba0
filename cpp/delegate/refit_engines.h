#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "delegate/live_handles.h"
#include "torchtrt_ws/new_weights.h"

namespace torchtrt_ws {

/// torchtrt_ws::refit() for `handles`. Takes opening() of their bytes and planning(): no load shares weights meanwhile.
Status refit_engines(const Handles& handles, const std::vector<NewWeight>& weights, const std::string& engine);

}  // namespace torchtrt_ws
