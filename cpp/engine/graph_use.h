#pragma once

namespace torchtrt_ws {

/// Whether an engine's runs are captured and replayed as CUDA graphs: the load-time option `cuda_graph`.
enum class GraphUse {
  Auto,  ///< Where calls repeat and the device has memory to spare.
  On,    ///< Where calls repeat, sooner, and whatever memory is free.
  Off,   ///< Never. The default.
};

}  // namespace torchtrt_ws
