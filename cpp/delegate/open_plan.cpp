#include "delegate/open_plan.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/quote.h"
#include "blob/as_variant.h"
#include "blob/verification.h"
#include "delegate/variant_order.h"
#include "engine/log.h"
#include "engine/surroundings.h"

namespace torchtrt_ws {
namespace {

using Variants = std::vector<VariantFacts>;

/// The bytes of one plan of several, which `whole` keeps.
Payload part_of(const std::shared_ptr<Payload>& whole, const VariantFacts& variant) {
  return {whole->data() + variant.offset, variant.size, [whole] {}};  // goes with the function
}

/// Whether a plan that the runtime calls one for somewhere else is the one that was saved, and not damaged.
Status check_bytes(const std::string& subject, const Metadata& metadata, Verify verify, const Payload& whole,
                   const VariantFacts& variant) {
  const Verification verification(verify, metadata, subject);
  return verification.compare(whole.data() + variant.offset, variant.size);
}

std::string here_text(const Surroundings& here) {
  const std::string device =
      here.compute_capability.empty() ? "this device" : "compute capability " + here.compute_capability;
  return here.runtime.empty() ? device : device + " and " + here.runtime;
}

Failure none_runs(const std::string& subject, const Variants& variants, const std::vector<std::string>& reasons,
                  const Surroundings& here) {
  std::string found = std::to_string(variants.size()) + " plans, of which none runs here:";
  for (std::size_t i = 0; i < variants.size(); ++i) {
    found += (i == 0 ? " plan " : "; plan ") + variant_name(variants, i) + ": " + reasons[i];
  }
  return {ErrorCode::Incompatible, subject, std::move(found), "a plan for " + here_text(here),
          "Save the program for this GPU too, and add it with torchtrt-ws combine"};
}

}  // namespace

Result<OpenedPlan> open_plan(const std::string& kind, const std::string& name, const Metadata& metadata, int device,
                             Verify verify, Payload payload, const OpenOnePlan& open_one) {
  if (!metadata.own || metadata.own->variants.empty()) return open_one(metadata, std::move(payload));
  const std::string subject = "engine '" + name + "'";
  const Variants& variants = metadata.own->variants;
  const DescribeSurroundings describe = find_surroundings(kind);
  if (describe == nullptr) {
    return Failure{ErrorCode::NotSupported, subject,
                   std::to_string(variants.size()) + " plans for an engine of kind " + in_quotes(kind),
                   "one: only TensorRT engines have several", "Save the program again"};
  }
  const auto whole = std::make_shared<Payload>(std::move(payload));
  std::vector<Surroundings> here;
  for (const VariantFacts& each : variants) here.push_back(describe(whole->data() + each.offset, each.size, device));
  const VariantOrder order = order_variants(variants, here);
  std::vector<std::string> reasons(variants.size(), "it was built for other GPUs");
  for (const std::size_t index : order.tried) {
    const Metadata of_it = as_variant(metadata, index);
    auto opened = open_one(of_it, part_of(whole, variants[index]));
    if (opened.ok()) {
      opened.value().variant = variant_name(variants, index);
      return opened;
    }
    if (opened.failure().code != ErrorCode::Incompatible) return opened;
    Status same = check_bytes(subject, of_it, verify, *whole, variants[index]);
    if (!same.ok()) return std::move(same).failure();
    reasons[index] = opened.failure().found;
    log_info(subject + ": plan " + variant_name(variants, index) + " does not run here: " + reasons[index]);
  }
  return none_runs(subject, variants, reasons, here.front());
}

}  // namespace torchtrt_ws
