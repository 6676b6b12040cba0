#pragma once

#include <NvInferRuntime.h>

#include <string>

#include "base/result.h"
#include "blob/metadata.h"
#include "engine/tensorrt/io.h"
#include "engine/tensorrt/library.h"

namespace torchtrt_ws::tensorrt {

/// The input that the engine itself writes this output into; empty when there is none, or below TensorRT 11.
std::string aliased_input(const nvinfer1::ICudaEngine& engine, const Library& library, const std::string& output);

/// Fills io.aliased_inputs from the metadata's `aliased_io`, checked against the engine: a "kv_cache_update" must be
/// what ICudaEngine::getAliasedInputTensor() says, a "user" alias (unknown to TensorRT) must have the same shape and
/// type on both sides. Does nothing when there are none.
/// Fails with BadBlob for a contradiction, Incompatible for another kind or below TensorRT 11.
Status read_aliases(const std::string& subject, const nvinfer1::ICudaEngine& engine, const Metadata& metadata,
                    const Library& library, Io& io);

}  // namespace torchtrt_ws::tensorrt
