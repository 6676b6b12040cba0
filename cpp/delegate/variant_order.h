#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "blob/variant_facts.h"
#include "engine/surroundings.h"

namespace torchtrt_ws {

/// In which order the plans of an engine are tried, and which never are.
struct VariantOrder {
  std::vector<std::size_t> tried;     ///< Indices, the likeliest first.
  std::vector<std::size_t> left_out;  ///< Built for other GPUs, and not to be tried here.
};

/// Orders plans: those that name this device's compute capability and this runtime first; then those that leave one of
/// them open; then those for another version of the runtime, which may take them all the same; last those whose runtime
/// is not here. Never one that names other compute capabilities only, unless it is hardware compatible. Plans that are
/// equal in this stay in the order of the file. `here` has one entry for each plan. Pure.
[[nodiscard]] VariantOrder order_variants(const std::vector<VariantFacts>& variants,
                                          const std::vector<Surroundings>& here);

/// "2 of 3 (compute capability 9.0, tensorrt_rtx 1.6.1)".
[[nodiscard]] std::string variant_name(const std::vector<VariantFacts>& variants, std::size_t index);

}  // namespace torchtrt_ws
