#include "blob/weight_facts.h"

#include <charconv>
#include <limits>
#include <set>
#include <utility>

#include "base/quote.h"
#include "blob/fields.h"
#include "blob/header.h"

namespace torchtrt_ws {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

/// A name that stays in its folder: it is shown to people, who look for it there.
bool is_file_name(const std::string& name) {
  return !name.empty() && name.size() <= wire::kMaxFileName && name.find_first_of("/\\") == std::string::npos &&
         name != "." && name != "..";
}

}  // namespace

bool is_sha256(const std::string& text) noexcept {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::optional<uint32_t> read_crc32c(Fields& fields) {
  if (!fields.has("crc32c")) return std::nullopt;
  const std::string text = fields.text("crc32c");
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  const bool lower = text.find_first_of("ABCDEF") == std::string::npos;
  if (text.size() == 8 && lower && error == std::errc() && end == text.data() + text.size()) return value;
  fields.refuse("crc32c", in_quotes(text), "8 lower-case hex digits");
  return std::nullopt;
}

SeparateWeights read_weights(Fields& fields) {
  SeparateWeights weights;
  weights.file = fields.text("file");
  if (!is_file_name(weights.file)) {
    fields.refuse("file", in_quotes(weights.file, 40),
                  "the name of a file without its folder, of at most " + std::to_string(wire::kMaxFileName) + " bytes");
  }
  std::set<std::string> names;
  fields.list("tensors", /*required=*/true, [&](Fields& entry) {
    WeightFacts weight{entry.name("name"),
                       entry.name("key"),
                       entry.name("dtype"),
                       entry.integer("count", 1, kMost),
                       entry.integer("bytes", 1, kMost),
                       static_cast<uint32_t>(entry.integer("crc32c", 0, std::numeric_limits<uint32_t>::max())),
                       entry.text("sha256"),
                       std::nullopt};
    if (!is_sha256(weight.sha256)) {
      entry.refuse("sha256", in_quotes(weight.sha256), "64 lower-case hex digits");
    }
    if (entry.has("shape")) weight.shape = entry.dims("shape", 0);
    if (!names.insert(weight.name).second) {
      entry.refuse("name", in_quotes(weight.name) + " again", "names that differ");
    }
    weights.tensors.push_back(std::move(weight));
  });
  if (weights.tensors.empty()) fields.refuse("tensors", "a list of 0", "one weight or more");
  return weights;
}

}  // namespace torchtrt_ws
