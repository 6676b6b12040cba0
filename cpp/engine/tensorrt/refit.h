#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "engine/tensorrt/library.h"
#include "engine/tensorrt/logger.h"
#include "engine/weights.h"

namespace torchtrt_ws::tensorrt {

/// Fails with BadEngine if `engine`, of a plan of `plan_bytes`, was built or serialized without its weights: nothing
/// that runs says so, and what it computes is garbage. Such a plan is under half the size of its streamable weights,
/// and takes weights; one without weight streaming is not looked at.
Status check_has_weights(const std::string& subject, const Library& library, nvinfer1::ICudaEngine& engine,
                         Logger& logger, uint64_t plan_bytes);

/// Puts `weights` into `engine`, through TensorRT's IRefitter, which reads them where they lie. They must be exactly
/// those that the engine lacks or may take: one that it does not know, lacks in the list, or has in another type or
/// number of elements is a failure that names it, before TensorRT is given any.
///
/// `engine` has no context.
/// Fails with BadEngine, NotSupported (a library without a refitter), DoesNotFit or EngineFault. TensorRT may have
/// taken some of the weights by then (IRefitter::refitCudaEngine).
Status refit(const std::string& subject, const Library& library, nvinfer1::ICudaEngine& engine, Logger& logger,
             const Weights& weights);

}  // namespace torchtrt_ws::tensorrt
