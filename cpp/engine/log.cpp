#include "engine/log.h"

#include <executorch/runtime/platform/log.h>
#include <executorch/runtime/platform/platform.h>

#include <string_view>

namespace torchtrt_ws {
namespace {

constexpr size_t kLine = 220;  // bytes of ours in a line; ExecuTorch's prefix and our name take the rest

/// Calls `write(indent, line)`: the lines behind the first are indented, which says that they go on.
template <typename Write>
void for_each_line(std::string_view rest, const Write& write) {
  const char* indent = "";
  while (!rest.empty()) {
    size_t end = rest.size();
    if (end > kLine) {
      const size_t space = rest.rfind(' ', kLine);
      end = space == std::string_view::npos || space == 0 ? kLine : space;
    }
    write(indent, rest.substr(0, end));
    indent = "  ";
    rest.remove_prefix(end);
    if (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  }
}

}  // namespace

void log_info(const std::string& text) noexcept {
  for_each_line(text, [](const char* indent, std::string_view line) {
    ET_LOG(Info, "torchtrt_ws: %s%.*s", indent, static_cast<int>(line.size()), line.data());
  });
}

void log_one_line(const std::string& text) noexcept {
  executorch::runtime::pal_emit_log_message(executorch::runtime::internal::get_log_timestamp(),
                                            et_pal_log_level_t::kInfo, "log.cpp", __func__, __LINE__, text.c_str(),
                                            text.size());
}

void log_error(const std::string& text) noexcept {
  for_each_line(text, [](const char* indent, std::string_view line) {
    ET_LOG(Error, "torchtrt_ws: %s%.*s", indent, static_cast<int>(line.size()), line.data());
  });
}

}  // namespace torchtrt_ws
