#pragma once

#include <string>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// Log lines of the delegate and its adapters, through ExecuTorch's log. A line there holds 255 bytes and is cut behind
/// them (runtime/platform/log.cpp), so a longer text goes out as several, broken at spaces; what goes on is indented.
///
/// ExecuTorch has no level for warnings: they are Info, and start with "warning: ".
TORCHTRT_WS_API void log_info(const std::string& text) noexcept;

/// One line whatever its length, for readers that are programs. It goes to ExecuTorch's log too, by the function behind
/// ET_LOG (runtime/platform/platform.h), which cuts nothing.
void log_one_line(const std::string& text) noexcept;

/// For calls that fail.
TORCHTRT_WS_API void log_error(const std::string& text) noexcept;

}  // namespace torchtrt_ws
