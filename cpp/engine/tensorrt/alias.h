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
/// type on both sides; no input is aliased twice, nor holds shapes. Dynamic dimensions are compared in each call that
/// changes them (Shapes). Does nothing when there are none.
/// Fails with BadBlob for a contradiction, Incompatible for another kind or below TensorRT 11.
Status read_aliases(const std::string& subject, const nvinfer1::ICudaEngine& engine, const Metadata& metadata,
                    const Library& library, Io& io);

/// Once bound_outputs() has told which outputs depend on data: those are written into memory of their own.
/// Fails with Incompatible where one is aliased.
Status check_bounded_aliases(const std::string& subject, const Io& io);

}  // namespace torchtrt_ws::tensorrt
