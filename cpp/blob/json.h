#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

// For the .cpp files of this folder only: the headers that others include do not need nlohmann/json.
namespace torchtrt_ws {

/// Parses hostile JSON strictly: one value, UTF-8, no byte order mark, comments, NaN or NUL, at most
/// wire::kMaxStrippedMetadataSize bytes and wire::kMaxJsonDepth levels, no key twice in one object. Needs no stack per
/// level. Errors: BadBlob.
[[nodiscard]] Result<nlohmann::json> parse_json(std::string_view text);

}  // namespace torchtrt_ws
