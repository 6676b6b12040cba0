#pragma once

#include <executorch/runtime/core/named_data_map.h>

#include "engine/weights.h"

namespace torchtrt_ws {

/// The weights in the data files that ExecuTorch was given with a program.
class DataMapWeights final : public WeightsSource {
 public:
  /// `map` outlives this; what find() gives may outlive both.
  explicit DataMapWeights(const executorch::runtime::NamedDataMap& map) : map_(map) {}

  [[nodiscard]] Result<Payload> find(const std::string& key, const std::string& weight) const override;

 private:
  const executorch::runtime::NamedDataMap& map_;
};

}  // namespace torchtrt_ws
