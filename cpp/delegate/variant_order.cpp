#include "delegate/variant_order.h"

#include <algorithm>
#include <map>

namespace torchtrt_ws {
namespace {

enum class Fit { Named, Open, OtherRuntime, NoRuntime, OtherDevice };  // the best first

Fit fit_of(const VariantFacts& variant, const Surroundings& here) {
  const auto& capabilities = variant.compute_capabilities;
  const bool named = std::find(capabilities.begin(), capabilities.end(), here.compute_capability) != capabilities.end();
  const bool other = !named && !capabilities.empty() && !here.compute_capability.empty();
  if (other && !variant.hardware_compatible) return Fit::OtherDevice;
  if (here.runtime.empty()) return Fit::NoRuntime;
  if (!variant.runtime.empty() && variant.runtime != here.runtime) return Fit::OtherRuntime;
  return named && !variant.runtime.empty() ? Fit::Named : Fit::Open;
}

}  // namespace

VariantOrder order_variants(const std::vector<VariantFacts>& variants, const std::vector<Surroundings>& here) {
  VariantOrder order;
  std::map<Fit, std::vector<std::size_t>> fits;
  for (std::size_t i = 0; i < variants.size(); ++i) fits[fit_of(variants[i], here[i])].push_back(i);
  for (const auto& [fit, indices] : fits) {
    auto& list = fit == Fit::OtherDevice ? order.left_out : order.tried;
    list.insert(list.end(), indices.begin(), indices.end());
  }
  return order;
}

std::string variant_name(const std::vector<VariantFacts>& variants, std::size_t index) {
  return std::to_string(index + 1) + " of " + std::to_string(variants.size()) + " (" + made_for(variants[index]) + ")";
}

}  // namespace torchtrt_ws
