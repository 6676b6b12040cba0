#pragma once

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "blob/metadata.h"
#include "engine/engine.h"
#include "engine/tensorrt/library.h"
#include "engine/tensorrt/profiles.h"

namespace torchtrt_ws::tensorrt {

/// What stays the same about one input or output of an engine.
struct IoTensor {
  std::string name;
  size_t element_bytes;
  nvinfer1::Dims shape;         // of the engine; -1 in dynamic dimensions
  bool is_scalar;               // 0-d for the program, one element of rank 1 for TensorRT
  bool holds_shapes = false;    // inputs: TensorRT reads its values on the host, before a run
  bool data_dependent = false;  // outputs: its shape is known only once the engine ran; told by bound_outputs()

  bool is_dynamic() const noexcept;
};

/// A buffer that the engine keeps from call to call: an input and an output of it, of one fixed shape and type.
struct IoState {
  std::string input;
  std::string output;
  size_t nbytes;
  bool in_place;  // the engine writes the output into the input's memory
};

/// An engine's inputs and outputs in the order of the delegate's arguments. Dynamic dimensions of outputs are bounded
/// once a context exists (bound_outputs()); until then they are 0 to 2^63-1.
struct Io {
  std::vector<IoTensor> inputs;
  std::vector<IoTensor> outputs;
  std::vector<TensorSpec> input_specs;
  std::vector<TensorSpec> output_specs;
  std::vector<std::optional<size_t>> aliased_inputs;  // for each output: the input it is written into
  std::vector<IoState> states;                        // no arguments of a call
  std::vector<size_t> shape_inputs;                   // indices of the inputs that hold shapes
  Profiles profiles;  // one or more; input_specs are their hull. Behind the inputs: the values of shape_inputs
  std::vector<int64_t> staged_outputs;  // bytes, of the largest in each profile; empty until bounded
  std::vector<int64_t> data_outputs;    // bytes, of each output: the most of those that depend on data; empty likewise

  bool has_aliases() const noexcept;
};

/// Reads an engine's I/O and checks it against the metadata. The bounds of dynamic inputs are the hull of all
/// optimization profiles.
///
/// Fails with BadBlob when metadata and engine name different tensors, or state of other shapes, Incompatible for what
/// an ExecuTorch program cannot pass: outputs that hold shapes, and inputs that do and have no bounds on their values;
/// vectorized formats, types of less than a byte; aliased outputs when this adapter or the library is older than
/// TensorRT 11.
Result<Io> read_io(const std::string& subject, const nvinfer1::ICudaEngine& engine, const Metadata& metadata,
                   const Library& library);

/// Fills in the bounds of dynamic outputs: their shapes at the smallest and the largest inputs (and values, of those
/// that hold shapes) of each profile; of those that depend on data, by the most bytes that TensorRT says they take
/// there, from 0 on. Profile 0 is in force afterwards, and the context's input shapes are other ones. Waits for
/// `stream`, if there are several profiles: switches go there. Fails with EngineFault.
Status bound_outputs(const std::string& subject, nvinfer1::IExecutionContext& context, cudaStream_t stream, Io& io);

/// Bytes that staging takes when all tensors of a call are staged, in the largest shapes of the profile that needs
/// most: no call has those of the hull. Dynamic outputs count once their bounds are known; those that depend on data
/// are not staged (Io::data_outputs), nor are those that are written into an input.
int64_t most_staged(const Io& io) noexcept;

/// Elements of a shape without dynamic dimensions; 1 for rank 0. nullopt when a dimension is negative or the product
/// does not fit.
std::optional<int64_t> volume(const nvinfer1::Dims& shape) noexcept;

}  // namespace torchtrt_ws::tensorrt
