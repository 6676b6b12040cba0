#include "blob/as_variant.h"

#include <algorithm>
#include <set>
#include <utility>

namespace torchtrt_ws {

Metadata as_variant(const Metadata& metadata, std::size_t index) {
  Metadata one = metadata;
  OwnFacts& own = *one.own;
  const VariantFacts variant = std::move(own.variants[index]);
  own.variants.clear();
  one.hardware_compatible = variant.hardware_compatible;
  own.sha256 = variant.sha256;
  own.crc32c = variant.crc32c;
  own.builder = variant.builder;
  own.compute_capabilities = variant.compute_capabilities;
  own.streamable_bytes = variant.streamable_bytes;
  own.streamable_estimated = variant.streamable_estimated;
  if (variant.weights && own.weights) {
    const std::set<std::string> taken(variant.weights->begin(), variant.weights->end());
    std::vector<WeightFacts>& all = own.weights->tensors;
    const auto is_not_taken = [&taken](const WeightFacts& weight) { return taken.count(weight.name) == 0; };
    all.erase(std::remove_if(all.begin(), all.end(), is_not_taken), all.end());
  }
  return one;
}

}  // namespace torchtrt_ws
