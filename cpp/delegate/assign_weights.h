#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "torchtrt_ws/new_weights.h"

namespace torchtrt_ws {

/// One copy of weights that can be refitted: an engine's, or of several that share it.
struct WeightsCopy {
  std::string engine;  ///< Its name, or theirs with commas.
  std::vector<RefittableWeight> takes;
};

/// Which of `given` go where: for each of `copies`, at least one of them, indices in the order of `given`.
///
/// Fails with BadArgument, which names the weight, where one is known to no copy or to several, is given twice, or is
/// not as the engine says (dtype, elements, bytes); and where none is given.
[[nodiscard]] Result<std::vector<std::vector<std::size_t>>> assign_weights(const std::vector<NewWeight>& given,
                                                                           const std::vector<WeightsCopy>& copies);

}  // namespace torchtrt_ws
