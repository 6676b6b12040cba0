// read_request() and resolve(). An input is lines of a letter and fields, with tabs between them; what is no such line
// is skipped. tests/fuzz/corpus.py writes tests/budget/resolve_cases.json in that form.
//
//   n NAME                      the engine
//   t KEY TEXT, i KEY INT, b KEY 1   an option of that type; s KEY TEXT a compile spec
//   f STREAMABLE SCRATCH, a AUTOMATIC, h ENGINES OWN PROGRAM   facts; a size left empty is not known
#include <algorithm>
#include <charconv>
#include <string_view>

#include "budget/request.h"
#include "budget/resolve.h"
#include "fuzz/check.h"

using torchtrt_ws::fuzz::check;

namespace {

struct Case {
  std::string engine = "forward";
  std::vector<torchtrt_ws::Option> options;
  std::vector<torchtrt_ws::BakedSpec> baked;
  torchtrt_ws::EngineFacts facts{0, 0, std::nullopt, nullptr};
};

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t end = 0; end != std::string_view::npos; text.remove_prefix(std::min(end + 1, text.size()))) {
    end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
  }
  return parts;
}

template <typename T>
std::optional<T> number(const std::string& text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  return parsed.ec == std::errc() && parsed.ptr == end ? std::optional<T>(value) : std::nullopt;
}

/// A size as the metadata's reader and engines give it: 0 or more.
std::optional<int64_t> bytes(const std::string& text) {
  const auto value = number<int64_t>(text);
  return value.has_value() && *value >= 0 ? value : std::nullopt;
}

void read_line(std::vector<std::string> f, Case& input) {
  f.resize(4);
  const char letter = f[0].size() == 1 ? f[0][0] : '\0';
  if (letter == 'n') input.engine = f[1];
  if (letter == 't') input.options.push_back({f[1], f[2]});
  if (letter == 'i') input.options.push_back({f[1], number<int>(f[2]).value_or(-1)});
  if (letter == 'b') input.options.push_back({f[1], f[2] == "1"});
  if (letter == 's') input.baked.push_back({f[1], f[2]});
  if (letter == 'f') input.facts.streamable = bytes(f[1]).value_or(0);
  if (letter == 'f') input.facts.scratch = bytes(f[2]).value_or(0);
  if (letter == 'h') {
    input.facts.shares = torchtrt_ws::Shares{std::max(1, number<int>(f[1]).value_or(1)), bytes(f[2]), bytes(f[3])};
  }
  if (letter == 'a') {
    const auto answer = number<int64_t>(f[1]).value_or(-1);  // an engine may answer anything
    input.facts.automatic = [answer](int64_t reserve) -> torchtrt_ws::Result<int64_t> {
      check(reserve >= 0, "a reserve is 0 or more");
      return answer;
    };
  }
}

void check_resolution(const torchtrt_ws::Resolution& got, const torchtrt_ws::EngineFacts& facts) {
  const std::string source = torchtrt_ws::source_name(got.source);
  check(source != "unknown source", "the source is one of the listed");
  for (const std::string& note : got.notes) torchtrt_ws::fuzz::check_text(note);
  if (!got.bytes.has_value()) {
    check(facts.streamable == 0 && got.source == torchtrt_ws::Source::None, "no budget call, nothing to stream");
    return;
  }
  check(*got.bytes >= 0 && *got.bytes <= facts.streamable, "a budget lies in [0, streamable]");
  const bool in_hole = *got.bytes < facts.streamable && facts.scratch >= facts.streamable - *got.bytes;
  check(got.explicit_bytes || !in_hole, "a derived budget is not in the hole");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  Case input;
  for (const auto& line : split({reinterpret_cast<const char*>(data), size}, '\n')) {
    read_line(split(line, '\t'), input);
  }
  const auto request = torchtrt_ws::read_request(input.options, input.baked, input.engine);
  if (!request.ok()) {
    torchtrt_ws::fuzz::check_text(request.failure().message());
    return 0;
  }
  const auto resolution = torchtrt_ws::resolve(request.value(), input.facts);
  if (resolution.ok()) {
    check_resolution(resolution.value(), input.facts);
  } else {
    torchtrt_ws::fuzz::check_text(resolution.failure().message());
  }
  return 0;
}
