#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "blob/metadata.h"
#include "budget/request.h"
#include "budget/resolve.h"
#include "delegate/process_defaults.h"

namespace torchtrt_ws {

/// What the file records of an engine's part in its program; nullopt for a file without our metadata. `shared`: whether
/// engines on the same weights will be loaded as such; else each of them takes its part.
std::optional<Shares> recorded_shares(const Metadata& metadata, bool shared);

/// What was asked for the engine `name`, by whomever: the load, the process, the environment, the program. Fails with
/// BadOption.
Result<Request> read_load_request(const std::vector<Option>& options, const std::vector<BakedSpec>& baked,
                                  const std::string& name, const Defaults& defaults);

}  // namespace torchtrt_ws
