#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/tensorrt/library.h"
#include "engine/tensorrt/logger.h"

namespace torchtrt_ws::tensorrt {

/// Names that an IRefitter gives; it owns them.
using WeightNames = std::vector<const char*>;

/// Torch's name of TensorRT's type of a weight, and the bits of one element; null where there is none.
std::pair<const char*, int64_t> weight_type(nvinfer1::DataType type);

/// Of `count` elements of `bits` each; -1: more than 64 bits count.
int64_t bytes_of(int64_t count, int64_t bits) noexcept;

/// Null where `library` has none, or none for this engine; then `library` says why in its log.
std::unique_ptr<nvinfer1::IRefitter> make_refitter(const Library& library, nvinfer1::ICudaEngine& engine,
                                                   Logger& logger);

/// The same, with several threads. `errors` takes what TensorRT says. Fails with NotSupported (a library without one),
/// or as refit_failed() says.
Result<std::unique_ptr<nvinfer1::IRefitter>> refitter_of(const std::string& subject, const Library& library,
                                                         nvinfer1::ICudaEngine& engine, Logger& logger,
                                                         const ErrorScope& errors);

/// The weights that it can set. Not only those that it says are missing: TensorRT-RTX 1.6.1 names none of a plan of
/// STRIP_PLAN and REFIT_IDENTICAL.
WeightNames all_weights(nvinfer1::IRefitter& refitter);

/// Those that must be set before it refits.
WeightNames missing_weights(nvinfer1::IRefitter& refitter);

/// The first few, for a message.
std::string some_of(const WeightNames& names);

/// Fails with BadEngine where it asks for weights that setNamedWeights() cannot name: of layers that the builder gave
/// no name.
Status check_unnamed(const std::string& subject, nvinfer1::IRefitter& refitter);

/// Why TensorRT would not, from the words it logged: DoesNotFit, EngineFault or BadEngine.
Failure refit_failed(const std::string& subject, const std::string& words, const std::string& expected);

}  // namespace torchtrt_ws::tensorrt
