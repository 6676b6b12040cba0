#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/tensorrt/library.h"
#include "engine/tensorrt/logger.h"
#include "torchtrt_ws/new_weights.h"

namespace torchtrt_ws::tensorrt {

/// The weights that `engine` takes in the place of its own. Fails with NotSupported where it was not built for others.
Result<std::vector<RefittableWeight>> replaceable_weights(const std::string& subject, const Library& library,
                                                          nvinfer1::ICudaEngine& engine, Logger& logger);

/// One of replaceable_weights(), and bytes for it.
struct Replacement {
  std::string name;
  int64_t count;
  const void* data;
};

/// Where the bytes are that a weight of the engine has now; null: not known.
using KnownWeight = std::function<const void*(const std::string& name)>;

/// Gives `engine`, which has no context, these weights and no others, through TensorRT's IRefitter; reads them where
/// they lie. Where TensorRT asks for others beside them they are what `known` says.
/// Fails with BadArgument, naming those that are not known; with DoesNotFit or EngineFault. `began`: whether
/// TensorRT may have taken some by then.
Status replace_weights(const std::string& subject, const Library& library, nvinfer1::ICudaEngine& engine,
                       Logger& logger, const std::vector<Replacement>& weights, const KnownWeight& known, bool& began);

}  // namespace torchtrt_ws::tensorrt
