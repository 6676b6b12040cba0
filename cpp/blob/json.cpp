#include "blob/json.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/quote.h"
#include "blob/header.h"

namespace torchtrt_ws {
namespace {

using nlohmann::json;

Failure bad_json(std::string found, std::string expected) {
  return Failure{ErrorCode::BadBlob, "engine blob: metadata", std::move(found), std::move(expected),
                 "The file is damaged, or another program wrote it: save it again"};
}

/// Reads a text without building it, and stops at the first thing that is refused. Not json::parse with a callback:
/// that walks the whole parent at the end of each object, which a list of 300,000 makes minutes of.
class Guard : public json::json_sax_t {
 public:
  /// Why the text was refused; empty where it is no JSON at all.
  [[nodiscard]] const std::string& problem() const { return problem_; }

  bool start_object(std::size_t /*elements*/) override { return open(); }
  bool start_array(std::size_t /*elements*/) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& key) override {
    return keys_.back().insert(key).second || refuse("the key " + in_quotes(key) + " twice in one object");
  }
  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return true; }
  bool string(string_t& /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/, const json::exception& /*error*/) override {
    return false;
  }

 private:
  bool open() {
    if (keys_.size() >= wire::kMaxJsonDepth)
      return refuse("more than " + std::to_string(wire::kMaxJsonDepth) + " levels");
    keys_.emplace_back();
    return true;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }
  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  std::vector<std::set<std::string>> keys_;  // of the open objects and lists, outermost first
  std::string problem_;
};

}  // namespace

Result<json> parse_json(std::string_view text) {
  if (text.size() > wire::kMaxStrippedMetadataSize) {
    return bad_json(std::to_string(text.size()) + " bytes",
                    "at most " + std::to_string(wire::kMaxStrippedMetadataSize) + " bytes of JSON");
  }
  // nlohmann takes a NUL for the end of the text and skips a byte order mark; other readers do not.
  const bool lenient = text.find('\0') != std::string_view::npos || text.substr(0, 3) == "\xef\xbb\xbf";
  Guard guard;
  const bool good = !lenient && json::sax_parse(text.begin(), text.end(), &guard);
  if (!guard.problem().empty()) {
    return bad_json(guard.problem(),
                    "at most " + std::to_string(wire::kMaxJsonDepth) + " levels of JSON, each key once");
  }
  if (!good) {
    return bad_json(text.empty() ? "no bytes" : in_quotes(text) + ", which is not JSON", "one JSON object in UTF-8");
  }
  return json::parse(text.begin(), text.end(), /*cb=*/nullptr, /*allow_exceptions=*/false);
}

}  // namespace torchtrt_ws
