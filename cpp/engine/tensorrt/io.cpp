#include "engine/tensorrt/io.h"

#include <algorithm>
#include <limits>

#include "base/quote.h"
#include "engine/tensorrt/alias.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/data_type.h"
#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/place.h"
#include "engine/tensorrt/shape_values.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {
namespace {

using nvinfer1::Dims;
using nvinfer1::ICudaEngine;
using nvinfer1::OptProfileSelector;

Failure cannot_pass(const std::string& subject, const std::string& tensor, std::string found, std::string expected,
                    std::string next_step) {
  return {ErrorCode::Incompatible, subject + ", tensor " + in_quotes(tensor), std::move(found), std::move(expected),
          std::move(next_step)};
}

int32_t profile_count(const ICudaEngine& engine) { return std::max(engine.getNbOptimizationProfiles(), 1); }

bool is_on_host(const ICudaEngine& engine, const char* name) {
  return engine.getTensorLocation(name) == nvinfer1::TensorLocation::kHOST;
}

Status check_passable(const std::string& subject, const ICudaEngine& engine, const std::string& tensor) {
  const char* name = tensor.c_str();
  const bool holds_shapes = engine.isShapeInferenceIO(name);
  if (engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kOUTPUT && (holds_shapes || is_on_host(engine, name))) {
    return cannot_pass(subject, tensor, "an output that holds shapes, which TensorRT writes in host memory",
                       "outputs that hold data on the device", "Build the engine without shape tensors as outputs");
  }
  if (holds_shapes && !is_on_host(engine, name)) {
    return cannot_pass(subject, tensor, "a shape tensor in device memory", "shape tensors in host memory",
                       "Build the engine with TensorLocation::kHOST for it");
  }
  for (int32_t profile = 0; profile < profile_count(engine); ++profile) {
    if (engine.getTensorFormat(name, profile) == nvinfer1::TensorFormat::kLINEAR) continue;
    return cannot_pass(subject, tensor, std::string("format ") + engine.getTensorFormatDesc(name, profile),
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
  return {binding.name, element_bytes(engine.getTensorDataType(name)), shape, is_scalar,
          binding.is_input && is_on_host(engine, name)};
}

Result<Bounds> input_bounds(const std::string& subject, const ICudaEngine& engine, const IoTensor& tensor,
                            int32_t profile) {
  if (tensor.is_scalar) return Bounds{};
  Dims min = tensor.shape;
  Dims max = tensor.shape;
  if (tensor.is_dynamic()) {
    min = engine.getProfileShape(tensor.name.c_str(), profile, OptProfileSelector::kMIN);
    max = engine.getProfileShape(tensor.name.c_str(), profile, OptProfileSelector::kMAX);
  }
  if (min.nbDims != tensor.shape.nbDims || max.nbDims != tensor.shape.nbDims) {
    return cannot_pass(subject, tensor.name, "dynamic dimensions without bounds", "an optimization profile",
                       "Build the engine with an optimization profile");
  }
  return Bounds{dimensions(min), dimensions(max)};
}

/// What the values of an input that holds shapes may be.
Result<Bounds> value_bounds(const std::string& subject, const ICudaEngine& engine, const Library& library,
                            const IoTensor& tensor, int32_t profile) {
  const auto type = engine.getTensorDataType(tensor.name.c_str());
  const std::optional<int64_t> count = volume(tensor.shape);
  if (!count || (type != nvinfer1::DataType::kINT32 && type != nvinfer1::DataType::kINT64)) {
    return cannot_pass(subject, tensor.name, std::string("a shape tensor of ") + type_name(type),
                       "int32 or int64, with a number of values that is fixed", "Build the engine so");
  }
  constexpr int32_t kFirstWithValues = 101100;  // NvInferRuntime.h: getProfileTensorValuesV2() came with 10.11
  const int64_t* ends[2] = {};
  if (library.has(kFirstWithValues)) {
    ends[0] = engine.getProfileTensorValuesV2(tensor.name.c_str(), profile, OptProfileSelector::kMIN);
    ends[1] = engine.getProfileTensorValuesV2(tensor.name.c_str(), profile, OptProfileSelector::kMAX);
  }
  if (ends[0] == nullptr || ends[1] == nullptr) {
    return cannot_pass(subject, tensor.name, "a shape tensor without bounds on its values",
                       "values from setShapeValuesV2() in each optimization profile, and TensorRT 10.11 or later",
                       "Build the engine so");
  }
  return Bounds{{ends[0], ends[0] + *count}, {ends[1], ends[1] + *count}};
}

/// The profiles, and with them what the inputs may be.
Status read_profiles(const std::string& subject, const ICudaEngine& engine, const Library& library, Io& io) {
  std::vector<std::string> names;
  for (const IoTensor& input : io.inputs) names.push_back(input.name);
  for (size_t i = 0; i < io.inputs.size(); ++i) {
    if (!io.inputs[i].holds_shapes) continue;
    io.shape_inputs.push_back(i);
    names.push_back("values of " + io.inputs[i].name);
  }
  std::vector<std::vector<Bounds>> all(static_cast<size_t>(profile_count(engine)));
  for (size_t profile = 0; profile < all.size(); ++profile) {
    for (const IoTensor& input : io.inputs) {
      Result<Bounds> bounds = input_bounds(subject, engine, input, static_cast<int32_t>(profile));
      if (!bounds.ok()) return std::move(bounds).failure();
      all[profile].push_back(std::move(bounds).value());
    }
    for (const size_t input : io.shape_inputs) {
      Result<Bounds> bounds = value_bounds(subject, engine, library, io.inputs[input], static_cast<int32_t>(profile));
      if (!bounds.ok()) return std::move(bounds).failure();
      all[profile].push_back(std::move(bounds).value());
    }
  }
  io.profiles = Profiles(std::move(names), std::move(all));
  for (size_t i = 0; i < io.inputs.size(); ++i) {
    Bounds hull = io.profiles.hull(i);
    io.input_specs[i].min = std::move(hull.min);
    io.input_specs[i].max = std::move(hull.max);
  }
  return ok_status();
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
                   std::string(binding.is_input ? "input " : "output ") + in_quotes(binding.name) + " in its metadata",
                   "each name that the engine has as such, once",
                   "The program and its engine do not belong together; save it again"};
  }
  Status passable = check_passable(subject, engine, binding.name);
  if (!passable.ok()) return passable;
  IoTensor tensor = describe(engine, binding, own);
  if (binding.is_input) {
    io.input_specs.push_back({tensor.name, *scalar_type(engine.getTensorDataType(tensor.name.c_str())), {}, {}});
    io.inputs.push_back(std::move(tensor));
  } else {
    io.output_specs.push_back(output_spec(engine, tensor));
    io.outputs.push_back(std::move(tensor));
  }
  return ok_status();
}

/// One buffer that the engine keeps: the metadata must say what the engine does.
Status add_state(const std::string& subject, const ICudaEngine& engine, const Library& library,
                 const StateTensor& recorded, Io& io) {
  const auto contradiction = [&](std::string found, std::string expected) -> Status {
    return Failure{ErrorCode::BadBlob, subject + ", state " + in_quotes(recorded.input), std::move(found),
                   std::move(expected), "The program and its engine do not belong together; save it again"};
  };
  for (const auto& [name, mode] : {std::pair{recorded.input, nvinfer1::TensorIOMode::kINPUT},
                                   std::pair{recorded.output, nvinfer1::TensorIOMode::kOUTPUT}}) {
    if (engine.getTensorIOMode(name.c_str()) != mode)
      return contradiction(in_quotes(name), "a tensor that the engine has");
    if (engine.isShapeInferenceIO(name.c_str())) return contradiction("a shape tensor", "data on the device");
    Status passable = check_passable(subject, engine, name);
    if (!passable.ok()) return passable;
  }
  const Dims before = engine.getTensorShape(recorded.input.c_str());
  const Dims after = engine.getTensorShape(recorded.output.c_str());
  const nvinfer1::DataType type = engine.getTensorDataType(recorded.input.c_str());
  const std::optional<int64_t> elements = volume(before);
  if (!elements || dimensions(before) != recorded.shape || dimensions(after) != recorded.shape ||
      type != engine.getTensorDataType(recorded.output.c_str())) {
    return contradiction("another shape or type in the engine", "one fixed shape and type before and after a call");
  }
  size_t nbytes = 0;
  if (__builtin_mul_overflow(static_cast<size_t>(*elements), element_bytes(type), &nbytes) ||
      nbytes > static_cast<size_t>(std::numeric_limits<int32_t>::max()) * 1024) {
    return contradiction(std::to_string(*elements) + " elements", "at most 2 TiB");
  }
  const std::string aliased = aliased_input(engine, library, recorded.output);
  if (!aliased.empty() && aliased != recorded.input) {
    return contradiction("an output that is written into " + in_quotes(aliased), "one that is written into this");
  }
  io.states.push_back({recorded.input, recorded.output, nbytes, !aliased.empty()});
  return ok_status();
}

Dims to_dims(const std::vector<int64_t>& sizes) {
  Dims shape{};
  shape.nbDims = static_cast<int32_t>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), shape.d);
  return shape;
}

/// Adds what staging takes for a tensor of this shape; nothing where it has no bounds yet. Stays at 2^63-1.
void add_staged(const IoTensor& tensor, const std::vector<int64_t>& shape, int64_t& sum) noexcept {
  constexpr auto kAlign = static_cast<int64_t>(kAddressAlignment);
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  auto size = static_cast<int64_t>(tensor.element_bytes);
  for (const int64_t most : shape) {
    if (__builtin_mul_overflow(size, most, &size)) return;
  }
  if (size > kMost - kAlign) return;
  if (__builtin_add_overflow(sum, (size + kAlign - 1) / kAlign * kAlign, &sum)) sum = kMost;
}

using End = std::vector<int64_t> Bounds::*;

/// The values of the inputs that hold shapes at one end of their bounds, for a context that is asked about it.
std::vector<HostMemory> values_at(const Io& io, size_t profile, End end) {
  std::vector<HostMemory> all;
  for (size_t i = 0; i < io.shape_inputs.size(); ++i) {
    const IoTensor& input = io.inputs[io.shape_inputs[i]];
    const std::vector<int64_t>& values = io.profiles.bounds(profile, io.inputs.size() + i).*end;
    HostMemory memory(values.size() * input.element_bytes);
    for (size_t at = 0; at < values.size(); ++at) {
      put_shape_value(memory.data(), input.element_bytes, at, values[at]);
    }
    all.push_back(std::move(memory));
  }
  return all;
}

/// What an output is known to be beforehand whose shape depends on data: one open dimension is bounded by the bytes
/// that TensorRT says it takes at most.
std::vector<int64_t> most_of(const Dims& shape, size_t element_bytes, int64_t most_bytes) {
  std::vector<int64_t> sizes = dimensions(shape);
  const auto open = std::count_if(sizes.begin(), sizes.end(), [](int64_t size) { return size < 0; });
  int64_t rest = static_cast<int64_t>(element_bytes);
  for (const int64_t size : sizes) {
    if (size >= 0 && __builtin_mul_overflow(rest, size, &rest)) rest = 0;
  }
  const bool told = open == 1 && rest > 0 && most_bytes >= 0;
  for (int64_t& size : sizes) {
    if (size < 0) size = told ? most_bytes / rest : std::numeric_limits<int64_t>::max();
  }
  return sizes;
}

/// Sets every dynamic input to one end of its bounds in a profile that is in force, and tells the shapes of the
/// outputs.
Result<std::vector<std::vector<int64_t>>> shapes_at(const std::string& subject, nvinfer1::IExecutionContext& context,
                                                    Io& io, size_t profile, End end) {
  const ErrorScope errors;
  const std::vector<HostMemory> values = values_at(io, profile, end);  // what the context is told goes with this block
  for (size_t i = 0; i < values.size(); ++i) {
    const IoTensor& input = io.inputs[io.shape_inputs[i]];
    if (context.setTensorAddress(input.name.c_str(), values[i].data())) continue;
    return refused_call(subject, "setTensorAddress", input.name, errors.words());
  }
  for (size_t i = 0; i < io.inputs.size(); ++i) {
    const IoTensor& input = io.inputs[i];
    if (!input.is_dynamic()) continue;
    if (context.setInputShape(input.name.c_str(), to_dims(io.profiles.bounds(profile, i).*end))) continue;
    return refused_call(subject, "setInputShape", input.name, errors.words());
  }
  const int32_t missing = context.inferShapes(0, nullptr);  // negative: it failed (NvInferRuntime.h)
  if (missing != 0) return refused_call(subject, "inferShapes", {}, errors.words());
  std::vector<std::vector<int64_t>> shapes;
  for (IoTensor& output : io.outputs) {
    const Dims shape = output.is_dynamic() ? context.getTensorShape(output.name.c_str()) : output.shape;
    if (shape.nbDims != output.shape.nbDims) {
      return refused_call(subject, "getTensorShape", output.name, errors.words());
    }
    output.data_dependent = !volume(shape);
    shapes.push_back(output.data_dependent
                         ? most_of(shape, output.element_bytes, context.getMaxOutputSize(output.name.c_str()))
                         : dimensions(shape));
  }
  // Asked again only once the context was told where its values are.
  for (const size_t input : io.shape_inputs) (void)context.setTensorAddress(io.inputs[input].name.c_str(), nullptr);
  return shapes;
}

/// Widens the bounds of the dynamic outputs by what they are in one profile; `first`: there are none yet.
Status bound_in_profile(const std::string& subject, nvinfer1::IExecutionContext& context, size_t profile, bool first,
                        Io& io) {
  auto smallest = shapes_at(subject, context, io, profile, &Bounds::min);
  if (!smallest.ok()) return std::move(smallest).failure();
  auto largest = shapes_at(subject, context, io, profile, &Bounds::max);
  if (!largest.ok()) return std::move(largest).failure();
  for (size_t i = 0; i < io.outputs.size(); ++i) {
    int64_t depends_on_data = 0;
    int64_t& sum = io.outputs[i].data_dependent ? depends_on_data : io.staged_outputs[profile];
    if (!io.aliased_inputs[i]) add_staged(io.outputs[i], largest.value()[i], sum);
    io.data_outputs[i] = std::max(io.data_outputs[i], depends_on_data);
    if (!io.outputs[i].is_dynamic()) continue;
    TensorSpec& spec = io.output_specs[i];
    for (size_t d = 0; d < spec.min.size(); ++d) {
      // Values may make a dimension smaller as they grow.
      const auto [low, high] = std::minmax({smallest.value()[i][d], largest.value()[i][d]});
      const bool open = io.outputs[i].data_dependent && io.outputs[i].shape.d[d] < 0;
      spec.min[d] = open ? 0 : first ? low : std::min(spec.min[d], low);
      spec.max[d] = first ? high : std::max(spec.max[d], high);
    }
  }
  return ok_status();
}

Status bound_in_each_profile(const std::string& subject, nvinfer1::IExecutionContext& context, cudaStream_t stream,
                             Io& io) {
  const size_t last = io.profiles.count() - 1;
  for (size_t left = io.profiles.count(); left > 0; --left) {  // 0 at the end, as in a new context
    const size_t profile = left - 1;
    if (last > 0) {
      const ErrorScope errors;
      if (!context.setOptimizationProfileAsync(static_cast<int32_t>(profile), stream)) {
        return refused_call(subject, "setOptimizationProfileAsync", {}, errors.words());
      }
    }
    Status bounded = bound_in_profile(subject, context, profile, profile == last, io);
    if (!bounded.ok()) return bounded;
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
  const size_t states = metadata.own ? metadata.own->state.size() : 0;
  if (const size_t recorded = metadata.io_bindings.size() + 2 * states; tensors != recorded) {
    return Failure{ErrorCode::BadBlob, subject, std::to_string(recorded) + " tensors in its metadata",
                   std::to_string(tensors) + ", as many as the engine has",
                   "The program and its engine do not belong together; save it again"};
  }
  const ErrorScope errors;  // TensorRT complains of a name it does not know; our Failure says it better
  Io io;
  for (const Binding& binding : metadata.io_bindings) {
    Status added = add(subject, engine, binding, metadata.own, io);
    if (!added.ok()) return std::move(added).failure();
  }
  for (size_t i = 0; i < states; ++i) {
    Status added = add_state(subject, engine, library, metadata.own->state[i], io);
    if (!added.ok()) return std::move(added).failure();
  }
  Status read = read_profiles(subject, engine, library, io);
  if (read.ok()) read = read_aliases(subject, engine, metadata, library, io);
  if (!read.ok()) return std::move(read).failure();
  return io;
}

Status bound_outputs(const std::string& subject, nvinfer1::IExecutionContext& context, cudaStream_t stream, Io& io) {
  const bool dynamic =
      std::any_of(io.outputs.begin(), io.outputs.end(), [](const IoTensor& output) { return output.is_dynamic(); });
  if (!dynamic) return ok_status();
  io.staged_outputs.assign(io.profiles.count(), 0);
  io.data_outputs.assign(io.outputs.size(), 0);
  Status bounded = bound_in_each_profile(subject, context, stream, io);
  if (io.profiles.count() == 1) return bounded;
  // Runs go to other streams, and a context that failed goes: neither while the switches copy.
  Status waited = check_cuda(subject, "cudaStreamSynchronize", cudaStreamSynchronize(stream));
  return bounded.ok() ? waited : bounded;
}

int64_t most_staged(const Io& io) noexcept {
  int64_t outputs = 0;
  for (size_t i = 0; i < io.outputs.size(); ++i) {
    if (!io.aliased_inputs[i]) add_staged(io.outputs[i], io.output_specs[i].max, outputs);
  }
  int64_t most = 0;
  for (size_t profile = 0; profile < io.profiles.count(); ++profile) {
    int64_t sum = io.staged_outputs.empty() ? outputs : io.staged_outputs[profile];
    for (size_t i = 0; i < io.inputs.size(); ++i) {
      if (!io.inputs[i].holds_shapes) add_staged(io.inputs[i], io.profiles.bounds(profile, i).max, sum);
    }
    most = std::max(most, sum);
  }
  return most;
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
