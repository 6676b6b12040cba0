#include "delegate/check_variants.h"

#include <utility>

#include "blob/as_variant.h"
#include "delegate/variant_order.h"
#include "engine/surroundings.h"

namespace torchtrt_ws {
namespace {

constexpr const char* kPlan = "plan";

std::string all_of(const std::vector<VariantFacts>& variants) {
  std::string text;
  for (std::size_t i = 0; i < variants.size(); ++i) text += (i == 0 ? "" : "; ") + variant_name(variants, i);
  return text;
}

CheckFact plan_fact(const std::vector<VariantFacts>& variants, const VariantOrder& order, const Surroundings& here) {
  if (order.tried.empty()) {
    return {kPlan,
            Verdict::No,
            "none for compute capability " + here.compute_capability + ": " + all_of(variants),
            "Save the program for this GPU too, and add it with torchtrt-ws combine.",
            {}};
  }
  const std::string first = variant_name(variants, order.tried.front());
  if (here.compute_capability.empty()) {
    return {kPlan, Verdict::Unknown, "cannot be told without a device; " + first + " is tried first", "", {}};
  }
  return {kPlan, Verdict::Ok, first + " is tried first", "", {}};
}

}  // namespace

Blob likeliest_plan(const Blob& blob, const std::string& kind, int device, std::vector<CheckFact>& facts) {
  if (!blob.metadata.own || blob.metadata.own->variants.empty()) return blob;
  const std::vector<VariantFacts>& variants = blob.metadata.own->variants;
  const DescribeSurroundings describe = find_surroundings(kind);
  if (describe == nullptr) {
    facts.push_back({kPlan, Verdict::No, "several, of a kind whose engines have one", "Save the program again.", {}});
    return blob;
  }
  std::vector<Surroundings> here;
  for (const VariantFacts& each : variants) here.push_back(describe(blob.engine + each.offset, each.size, device));
  const VariantOrder order = order_variants(variants, here);
  facts.push_back(plan_fact(variants, order, here.front()));
  const std::size_t index = order.tried.empty() ? 0 : order.tried.front();
  return {blob.header, as_variant(blob.metadata, index), blob.engine + variants[index].offset, variants[index].size,
          blob.engine_key};
}

}  // namespace torchtrt_ws
