#include "base/quote.h"

namespace torchtrt_ws {
namespace {

void append_escaped(std::string& out, unsigned char byte) {
  constexpr char kHex[] = "0123456789abcdef";
  const size_t named = std::string_view("\n\r\t\"\\").find(static_cast<char>(byte));
  if (named != std::string_view::npos) {
    out += '\\';
    out += "nrt\"\\"[named];
    return;
  }
  if (byte >= 0x20 && byte < 0x7f) {
    out += static_cast<char>(byte);
    return;
  }
  out += "\\x";
  out += kHex[byte >> 4];
  out += kHex[byte & 0x0f];
}

std::string cut_and_escape(std::string_view text, std::size_t limit, const char* mark) {
  const bool cut = text.size() > limit;
  std::string out = mark;
  for (const char c : text.substr(0, limit)) append_escaped(out, static_cast<unsigned char>(c));
  out += mark;
  if (cut) out += "... (" + std::to_string(text.size()) + " bytes)";
  return out;
}

}  // namespace

std::string in_quotes(std::string_view text, std::size_t limit) { return cut_and_escape(text, limit, "\""); }

std::string escaped(std::string_view text, std::size_t limit) { return cut_and_escape(text, limit, ""); }

}  // namespace torchtrt_ws
