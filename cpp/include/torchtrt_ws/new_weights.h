#pragma once

#include <executorch/runtime/core/error.h>
#include <executorch/runtime/core/result.h>

#include <cstdint>
#include <string>
#include <vector>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// A weight that refit() may replace.
struct RefittableWeight {
  std::string name;   ///< TensorRT's (IRefitter).
  std::string dtype;  ///< torch's name without "torch.", such as "float16".
  int64_t count;      ///< Elements.
  int64_t bytes;      ///< Of all of them.
};

/// A weight to put in the place of the one that the engine has: the same name, dtype and number of elements.
struct NewWeight {
  std::string name;
  std::string dtype;
  int64_t count;
  const void* data;  ///< `bytes` of them in host memory, contiguous, as the weight lay when the engine was built.
  int64_t bytes;
};

/// The weights that the engine `id` (EngineReport::id) takes while it is loaded. Waits for a call in flight.
///
/// Returns InvalidArgument for an unknown id; NotSupported for an engine that was not built for other weights: a
/// tensorrt engine needs BuilderFlag::kREFIT or kREFIT_INDIVIDUAL. last_error() (last_error.h) has the words.
TORCHTRT_WS_API executorch::runtime::Result<std::vector<RefittableWeight>> refittable_weights(uint64_t id);

/// Gives the engines `ids`, those of a program and of all its contexts, other weights: some of an engine's, or all of
/// it. `engine`, where given, is the name of the one that takes them; else each is one that exactly one engine knows,
/// where engines that share their weights (EngineReport::shared_with) are one.
///
/// Waits for the calls that came before it; later ones wait for it, and see the new weights. Budgets stay as they are,
/// and engines that sleep wake with the new weights. `weights` are copied: the copies stay in host memory while the
/// engine is loaded, to be put back when a later call fails. A call of the program that has left one of its engines
/// and not reached the next one is not waited for: where weights of several engines belong together, the caller has
/// none in flight.
///
/// All or nothing. Names, dtypes and sizes of all weights are looked at before an engine changes. Where TensorRT fails
/// after it took some, the weights of before are put back, if they are known: from a call before, or from the mapped
/// data file of a program without its weights. Else the engine refuses to run (InvalidState) until these weights are
/// given again.
///
/// Returns InvalidArgument for weights that no engine, or more than one, knows, of another dtype or size, given twice,
/// none at all, or of which TensorRT says that others must come with them; for an unknown id or name; NotSupported for
/// engines that take no weights; InvalidState where an engine that is not one of `ids` shares the weights; Internal or
/// MemoryAllocationFailed when TensorRT fails. last_error() (last_error.h) has the words.
TORCHTRT_WS_API executorch::runtime::Error refit(const std::vector<uint64_t>& ids,
                                                 const std::vector<NewWeight>& weights, const std::string& engine = {});

}  // namespace torchtrt_ws
