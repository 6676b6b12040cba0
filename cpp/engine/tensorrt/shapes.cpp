#include "engine/tensorrt/shapes.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/quote.h"
#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {

using executorch::aten::SizesType;
using nvinfer1::Dims;

namespace {

std::string to_text(const SizesType* sizes, size_t rank) {
  std::string text = "[";
  for (size_t i = 0; i < rank; ++i) text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  return text + ']';
}

}  // namespace

Shapes::Shapes(std::string subject, const Io& io)
    : subject_(std::move(subject)), io_(io), told_(io.inputs.size()), outputs_(io.outputs.size()) {
  forget();
}

void Shapes::forget() noexcept {
  for (Dims& shape : told_) shape.nbDims = -1;
  outputs_known_ = false;
}

bool Shapes::is_told(size_t index, const TensorView& view) const noexcept {
  const Dims& told = told_[index];
  return !io_.inputs[index].is_dynamic() ||
         (told.nbDims == static_cast<int32_t>(view.rank) && std::equal(view.sizes, view.sizes + view.rank, told.d));
}

bool Shapes::would_change(const std::vector<TensorView>& inputs) const noexcept {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!is_told(i, inputs[i])) return true;
  }
  return false;
}

Status Shapes::set(nvinfer1::IExecutionContext& context, const std::vector<TensorView>& inputs) {
  const ErrorScope errors;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (is_told(i, inputs[i])) continue;
    outputs_known_ = false;
    Dims& told = told_[i];
    told.nbDims = static_cast<int32_t>(inputs[i].rank);
    std::copy(inputs[i].sizes, inputs[i].sizes + inputs[i].rank, told.d);
    if (context.setInputShape(io_.inputs[i].name.c_str(), told)) continue;
    told.nbDims = -1;
    return refused_call(subject_, "setInputShape", io_.inputs[i].name, errors.words());
  }
  if (outputs_known_) return ok_status();
  if (context.inferShapes(0, nullptr) != 0) return refused_call(subject_, "inferShapes", {}, errors.words());
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (io_.outputs[i].data_dependent) continue;  // told by the run
    Status read = read_output(context, i);
    if (read.ok() && io_.aliased_inputs[i]) read = check_alias(i, inputs[*io_.aliased_inputs[i]]);
    if (!read.ok()) return read;
  }
  outputs_known_ = true;
  return ok_status();
}

/// TensorRT does not know of all aliases, and writes the whole output where it is told to.
Status Shapes::check_alias(size_t index, const TensorView& input) const {
  const Output& output = outputs_[index];
  // One of the two may be a scalar for the program.
  const bool same =
      output.rank != input.rank || std::equal(input.sizes, input.sizes + input.rank, output.sizes.begin());
  if (same && output.nbytes == input.nbytes) return ok_status();
  return Failure{ErrorCode::BadArgument, "input " + in_quotes(io_.inputs[*io_.aliased_inputs[index]].name),
                 "shape " + to_text(input.sizes, input.rank),
                 "shape " + to_text(output.sizes.data(), output.rank) + ", that of output " +
                     in_quotes(io_.outputs[index].name) + ", which is written into it",
                 "Call it with inputs whose shapes make these two the same"};
}

Status Shapes::read_output(nvinfer1::IExecutionContext& context, size_t index) {
  const IoTensor& tensor = io_.outputs[index];
  const Dims shape = context.getTensorShape(tensor.name.c_str());
  const std::optional<int64_t> elements = volume(shape);
  const bool fits = elements && std::all_of(shape.d, shape.d + shape.nbDims,
                                            [](int64_t size) { return size <= std::numeric_limits<SizesType>::max(); });
  if (!fits || static_cast<uint64_t>(*elements) > std::numeric_limits<size_t>::max() / tensor.element_bytes) {
    return Failure{ErrorCode::EngineFault, subject_ + ", tensor " + in_quotes(tensor.name),
                   "a shape that ExecuTorch cannot hold", "dimensions from 0 to 2^31-1", "Use smaller inputs"};
  }
  Output& output = outputs_[index];
  output.rank = tensor.is_scalar ? 0 : static_cast<size_t>(shape.nbDims);
  output.nbytes = static_cast<size_t>(*elements) * tensor.element_bytes;
  std::transform(shape.d, shape.d + shape.nbDims, output.sizes.begin(),
                 [](int64_t size) { return static_cast<SizesType>(size); });
  return ok_status();
}

}  // namespace torchtrt_ws::tensorrt
