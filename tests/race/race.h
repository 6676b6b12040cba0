#pragma once

#include <functional>
#include <string>
#include <vector>

namespace torchtrt_ws::testing {

/// Makes a blob of an engine `name` that doubles float32 x[1..4, 2], streams kStreamable bytes of weights, and fits the
/// device at any budget.
using MakeBlob = std::function<std::vector<char>(const std::string& name)>;

inline constexpr int kStreamable = 1 << 20;

/// From several threads, a fixed number of times each: runs of one shared handle and of the threads' own, loads,
/// changes of budget by every way there is, sleeping and waking, reports, and destroying what others list and change.
/// Outputs are compared, and each call must succeed, or fail as one does whose engine has gone. Meant for
/// ThreadSanitizer, which sees the rest.
void race(const MakeBlob& make_blob);

}  // namespace torchtrt_ws::testing
