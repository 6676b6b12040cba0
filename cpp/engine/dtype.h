#pragma once

#include <executorch/runtime/core/exec_aten/exec_aten.h>

#include <optional>
#include <string_view>

namespace torchtrt_ws {

/// ExecuTorch's type for a dtype name in the metadata: torch's name without "torch.", such as "float16".
/// nullopt for a name that is none, or that ExecuTorch does not have.
std::optional<executorch::aten::ScalarType> scalar_type_from_name(std::string_view name);

/// The name in the metadata; "unknown" for a type the format does not name. Never null.
const char* dtype_name(executorch::aten::ScalarType type);

}  // namespace torchtrt_ws
