#include "engine/tensorrt/io.h"

#include <algorithm>
#include <limits>

#include "base/quote.h"
#include "engine/log.h"
#include "engine/tensorrt/alias.h"
#include "engine/tensorrt/data_type.h"
#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/place.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {
namespace {

using nvinfer1::Dims;
using nvinfer1::ICudaEngine;
using nvinfer1::OptProfileSelector;

constexpr int32_t kProfile = 0;  // the one a new context starts with

Failure cannot_pass(const std::string& subject, const std::string& tensor, std::string found, std::string expected,
                    std::string next_step) {
  return {ErrorCode::Incompatible, subject + ", tensor " + quoted(tensor), std::move(found), std::move(expected),
          std::move(next_step)};
}

Status check_passable(const std::string& subject, const ICudaEngine& engine, const std::string& tensor) {
  const char* name = tensor.c_str();
  if (engine.isShapeInferenceIO(name) || engine.getTensorLocation(name) != nvinfer1::TensorLocation::kDEVICE) {
    return cannot_pass(subject, tensor, "a shape tensor, which TensorRT wants in host memory",
                       "tensors that hold data on the device", "Build the engine without shape tensors as I/O");
  }
  if (engine.getTensorFormat(name, kProfile) != nvinfer1::TensorFormat::kLINEAR) {
    return cannot_pass(subject, tensor, std::string("format ") + engine.getTensorFormatDesc(name, kProfile),
                       "the linear format (kLINEAR)", "Build the engine with TensorFormat::kLINEAR for its I/O");
  }
  const nvinfer1::DataType type = engine.getTensorDataType(name);
  if (!scalar_type(type)) {
    return cannot_pass(subject, tensor, type_name(type), "a type that ExecuTorch has",
                       "Cast inside the network, so that its I/O has another type");
  }
  return ok_status();
}

std::vector<int64_t> dimensions(const Dims& shape) { return {shape.d, shape.d + shape.nbDims}; }

/// Whether our metadata says that the program passes this tensor as 0-d.
bool recorded_as_scalar(const std::optional<OwnFacts>& own, const std::string& name, bool is_input) {
  if (!own) return false;
  const auto& recorded = is_input ? own->inputs : own->outputs;
  return std::any_of(recorded.begin(), recorded.end(),
                     [&name](const TensorFacts& facts) { return facts.name == name && facts.shape.empty(); });
}

IoTensor describe(const ICudaEngine& engine, const Binding& binding, const std::optional<OwnFacts>& own) {
  const char* name = binding.name.c_str();
  const Dims shape = engine.getTensorShape(name);
  const bool is_scalar =
      shape.nbDims == 1 && shape.d[0] == 1 && recorded_as_scalar(own, binding.name, binding.is_input);
  return {binding.name, element_bytes(engine.getTensorDataType(name)), shape, is_scalar};
}

Result<TensorSpec> input_spec(const std::string& subject, const ICudaEngine& engine, const IoTensor& tensor) {
  const char* name = tensor.name.c_str();
  TensorSpec spec{tensor.name, *scalar_type(engine.getTensorDataType(name)), {}, {}};
  if (tensor.is_scalar) return spec;
  Dims min = tensor.shape;
  Dims max = tensor.shape;
  if (tensor.is_dynamic()) {
    min = engine.getProfileShape(name, kProfile, OptProfileSelector::kMIN);
    max = engine.getProfileShape(name, kProfile, OptProfileSelector::kMAX);
  }
  if (min.nbDims != tensor.shape.nbDims || max.nbDims != tensor.shape.nbDims) {
    return cannot_pass(subject, tensor.name, "dynamic dimensions without bounds", "an optimization profile",
                       "Build the engine with an optimization profile");
  }
  spec.min = dimensions(min);
  spec.max = dimensions(max);
  return spec;
}

TensorSpec output_spec(const ICudaEngine& engine, const IoTensor& tensor) {
  TensorSpec spec{tensor.name, *scalar_type(engine.getTensorDataType(tensor.name.c_str())), {}, {}};
  if (tensor.is_scalar) return spec;
  spec.min = spec.max = dimensions(tensor.shape);
  for (size_t i = 0; i < spec.min.size(); ++i) {
    if (spec.min[i] >= 0) continue;
    spec.min[i] = 0;
    spec.max[i] = std::numeric_limits<int64_t>::max();
  }
  return spec;
}

Status add(const std::string& subject, const ICudaEngine& engine, const Binding& binding,
           const std::optional<OwnFacts>& own, Io& io) {
  const auto mode = engine.getTensorIOMode(binding.name.c_str());
  const auto wanted = binding.is_input ? nvinfer1::TensorIOMode::kINPUT : nvinfer1::TensorIOMode::kOUTPUT;
  const auto& known = binding.is_input ? io.inputs : io.outputs;
  const bool repeated = std::any_of(known.begin(), known.end(),
                                    [&binding](const IoTensor& tensor) { return tensor.name == binding.name; });
  if (mode != wanted || repeated) {
    return Failure{ErrorCode::BadBlob, subject,
                   std::string(binding.is_input ? "input " : "output ") + quoted(binding.name) + " in its metadata",
                   "each name that the engine has as such, once",
                   "The program and its engine do not belong together; save it again"};
  }
  Status passable = check_passable(subject, engine, binding.name);
  if (!passable.ok()) return passable;
  IoTensor tensor = describe(engine, binding, own);
  if (binding.is_input) {
    Result<TensorSpec> spec = input_spec(subject, engine, tensor);
    if (!spec.ok()) return std::move(spec).failure();
    io.input_specs.push_back(std::move(spec).value());
    io.inputs.push_back(std::move(tensor));
  } else {
    io.output_specs.push_back(output_spec(engine, tensor));
    io.outputs.push_back(std::move(tensor));
  }
  return ok_status();
}

void say_which_profile(const std::string& subject, const ICudaEngine& engine) {
  const int32_t profiles = engine.getNbOptimizationProfiles();
  if (profiles <= 1) return;
  log_info("warning: " + subject + " has " + std::to_string(profiles) +
           " optimization profiles; profile 0 is used, and its bounds hold");
}

Dims to_dims(const std::vector<int64_t>& sizes) {
  Dims shape{};
  shape.nbDims = static_cast<int32_t>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), shape.d);
  return shape;
}

/// Sets every dynamic input to one end of its bounds and reads the shapes of the dynamic outputs into that end of
/// theirs.
Status read_bound(const std::string& subject, nvinfer1::IExecutionContext& context, Io& io,
                  std::vector<int64_t> TensorSpec::* end) {
  const ErrorScope errors;
  for (size_t i = 0; i < io.inputs.size(); ++i) {
    const IoTensor& input = io.inputs[i];
    if (!input.is_dynamic() || context.setInputShape(input.name.c_str(), to_dims(io.input_specs[i].*end))) continue;
    return refused_call(subject, "setInputShape", input.name, errors.words());
  }
  const int32_t missing = context.inferShapes(0, nullptr);  // negative: it failed (NvInferRuntime.h)
  if (missing < 0) return refused_call(subject, "inferShapes", {}, errors.words());
  for (size_t i = 0; i < io.outputs.size(); ++i) {
    if (!io.outputs[i].is_dynamic()) continue;
    const Dims shape = context.getTensorShape(io.outputs[i].name.c_str());
    if (shape.nbDims < 0) return refused_call(subject, "getTensorShape", io.outputs[i].name, errors.words());
    if (missing > 0 || !volume(shape) || shape.nbDims != io.outputs[i].shape.nbDims) {
      return cannot_pass(subject, io.outputs[i].name, "a shape that is known only once the engine ran",
                         "shapes that follow from the inputs' shapes",
                         "Build the engine without data-dependent outputs (such as nonzero)");
    }
    io.output_specs[i].*end = dimensions(shape);
  }
  return ok_status();
}

}  // namespace

bool IoTensor::is_dynamic() const noexcept {
  return std::any_of(shape.d, shape.d + std::max(shape.nbDims, 0), [](int64_t size) { return size < 0; });
}

bool Io::has_aliases() const noexcept {
  return std::any_of(aliased_inputs.begin(), aliased_inputs.end(), [](const auto& input) { return input.has_value(); });
}

Result<Io> read_io(const std::string& subject, const ICudaEngine& engine, const Metadata& metadata,
                   const Library& library) {
  const auto tensors = static_cast<size_t>(std::max(engine.getNbIOTensors(), 0));
  if (tensors != metadata.io_bindings.size()) {
    return Failure{ErrorCode::BadBlob, subject,
                   std::to_string(metadata.io_bindings.size()) + " tensors in its metadata",
                   std::to_string(tensors) + ", as many as the engine has",
                   "The program and its engine do not belong together; save it again"};
  }
  const ErrorScope errors;  // TensorRT complains of a name it does not know; our Failure says it better
  Io io;
  for (const Binding& binding : metadata.io_bindings) {
    Status added = add(subject, engine, binding, metadata.own, io);
    if (!added.ok()) return std::move(added).failure();
  }
  Status aliases = read_aliases(subject, engine, metadata, library, io);
  if (!aliases.ok()) return std::move(aliases).failure();
  say_which_profile(subject, engine);
  return io;
}

Status bound_outputs(const std::string& subject, nvinfer1::IExecutionContext& context, Io& io) {
  const bool dynamic =
      std::any_of(io.outputs.begin(), io.outputs.end(), [](const IoTensor& output) { return output.is_dynamic(); });
  if (!dynamic) return ok_status();
  Status smallest = read_bound(subject, context, io, &TensorSpec::min);
  return smallest.ok() ? read_bound(subject, context, io, &TensorSpec::max) : smallest;
}

int64_t most_staged(const Io& io) noexcept {
  const auto bytes = [](const IoTensor& tensor, const TensorSpec& spec) -> int64_t {
    int64_t size = static_cast<int64_t>(tensor.element_bytes);
    for (const int64_t most : spec.max) {
      if (__builtin_mul_overflow(size, most, &size)) return 0;  // no bound is known yet
    }
    constexpr auto kAlign = static_cast<int64_t>(kAddressAlignment);
    return size > std::numeric_limits<int64_t>::max() - kAlign ? 0 : (size + kAlign - 1) / kAlign * kAlign;
  };
  int64_t sum = 0;
  const auto count = [&](const std::vector<IoTensor>& tensors, const std::vector<TensorSpec>& specs) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (__builtin_add_overflow(sum, bytes(tensors[i], specs[i]), &sum)) sum = std::numeric_limits<int64_t>::max();
    }
  };
  count(io.inputs, io.input_specs);
  count(io.outputs, io.output_specs);
  return sum;
}

std::optional<int64_t> volume(const Dims& shape) noexcept {
  if (shape.nbDims < 0 || shape.nbDims > Dims::MAX_DIMS) return std::nullopt;
  int64_t elements = 1;
  for (int32_t i = 0; i < shape.nbDims; ++i) {
    if (shape.d[i] < 0 || __builtin_mul_overflow(elements, shape.d[i], &elements)) return std::nullopt;
  }
  return elements;
}

}  // namespace torchtrt_ws::tensorrt
