#include "blob/variant_facts.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "base/quote.h"
#include "blob/fields.h"
#include "blob/header.h"

namespace torchtrt_ws {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr const char* kVariants = "variants";

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 3 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// "9.0" and the like.
bool is_compute_capability(std::string_view text) {
  const std::size_t dot = text.find('.');
  return dot != std::string_view::npos && is_number(text.substr(0, dot)) && is_number(text.substr(dot + 1));
}

std::vector<std::string> read_taken(Fields& entry, const std::optional<SeparateWeights>& weights) {
  std::set<std::string> left;
  if (weights) {
    for (const WeightFacts& each : weights->tensors) left.insert(each.name);
  }
  std::vector<std::string> names;
  entry.list("weights", /*required=*/true, [&](Fields& weight) {
    std::string name = weight.text("name");
    if (left.erase(name) == 0) {
      weight.refuse("name", in_quotes(name), "the name of a weight in the list of the engine, once");
    }
    names.push_back(std::move(name));
  });
  if (names.empty()) entry.refuse("weights", "a list of 0", "one weight or more");
  return names;
}

VariantFacts read_variant(Fields& entry, const std::optional<SeparateWeights>& weights) {
  VariantFacts variant;
  variant.offset = static_cast<uint64_t>(entry.integer("offset", 0, kMost));
  variant.size = static_cast<uint64_t>(entry.integer("size", 1, kMost));
  variant.sha256 = entry.text("sha256");
  if (!is_sha256(variant.sha256)) {
    entry.refuse("sha256", in_quotes(variant.sha256), "64 lower-case hex digits");
  }
  if (!entry.has("crc32c")) entry.refuse("crc32c", "nothing", "8 lower-case hex digits");
  variant.crc32c = read_crc32c(entry).value_or(0);
  variant.builder = entry.text("builder", "");
  variant.runtime = entry.text("runtime", "");
  variant.compute_capabilities = read_compute_capabilities(entry);
  variant.hardware_compatible = entry.boolean("hardware_compatible", false);
  variant.streamable_bytes = entry.bytes_or_null("streamable_bytes");
  variant.streamable_estimated = entry.boolean("streamable_estimated", false);
  if (entry.has("weights")) variant.weights = read_taken(entry, weights);
  return variant;
}

/// Whether `next` lies where a plan behind `before` may. By subtraction: both are hostile.
bool follows(const VariantFacts* before, const VariantFacts& next) {
  if (next.offset % wire::kEngineAlignment != 0) return false;
  if (before == nullptr) return next.offset == 0;
  return next.offset >= before->offset && next.offset - before->offset >= before->size;
}

}  // namespace

std::vector<std::string> read_compute_capabilities(Fields& fields) {
  std::vector<std::string> found;
  fields.list("compute_capabilities", /*required=*/false, [&](Fields& entry) {
    std::string name = entry.text("name");
    if (!is_compute_capability(name) || std::find(found.begin(), found.end(), name) != found.end()) {
      entry.refuse("name", in_quotes(name), "a compute capability such as \"8.9\", once");
    }
    found.push_back(std::move(name));
  });
  return found;
}

std::vector<VariantFacts> read_variants(Fields& own, const std::optional<SeparateWeights>& weights) {
  std::vector<VariantFacts> variants;
  own.list(kVariants, /*required=*/true, [&](Fields& entry) {
    if (variants.size() == wire::kMaxVariants) {
      own.refuse(kVariants, "more plans", "2 to " + std::to_string(wire::kMaxVariants));
      return;
    }
    VariantFacts variant = read_variant(entry, weights);
    if (!follows(variants.empty() ? nullptr : &variants.back(), variant)) {
      entry.refuse("offset", std::to_string(variant.offset),
                   variants.empty()
                       ? "0"
                       : "a multiple of " + std::to_string(wire::kEngineAlignment) + " behind the plan before it");
    }
    variants.push_back(std::move(variant));
  });
  if (variants.size() < 2) {
    own.refuse(kVariants, std::to_string(variants.size()) + " plans", "2 to " + std::to_string(wire::kMaxVariants));
  }
  return variants;
}

std::string made_for(const VariantFacts& variant) {
  std::string text;
  for (const std::string& each : variant.compute_capabilities) {
    text += (text.empty() ? "compute capability " : " or ") + each;
  }
  if (text.empty()) text = "any GPU";
  return variant.runtime.empty() ? text : text + ", " + torchtrt_ws::escaped(variant.runtime);
}

}  // namespace torchtrt_ws
