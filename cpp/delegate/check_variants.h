#pragma once

#include <string>
#include <vector>

#include "blob/blob.h"
#include "torchtrt_ws/check.h"

namespace torchtrt_ws {

/// The blob as if there were only the plan that a load would try first, of several; as it is, where there is one.
/// Appends the fact `plan` where there are several. `kind` is registered, `device` CUDA's index.
Blob likeliest_plan(const Blob& blob, const std::string& kind, int device, std::vector<CheckFact>& facts);

}  // namespace torchtrt_ws
