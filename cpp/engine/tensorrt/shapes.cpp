// Execution's shapes: what TensorRT is told of the inputs, and what it says of the outputs.

#include <algorithm>
#include <limits>

#include "base/quote.h"
#include "engine/tensorrt/execution.h"
#include "engine/tensorrt/logger.h"

namespace torchtrt_ws::tensorrt {
namespace {

using executorch::aten::SizesType;
using nvinfer1::Dims;

bool same(const Dims& shape, const TensorView& view) {
  return shape.nbDims == static_cast<int32_t>(view.rank) && std::equal(view.sizes, view.sizes + view.rank, shape.d);
}

}  // namespace

Status Execution::set_shapes(const std::vector<TensorView>& inputs) {
  bool changed = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    Slot& slot = inputs_[i];
    slot.view = inputs[i];
    if (!io_.inputs[i].is_dynamic() || same(slot.shape, slot.view)) continue;
    if (!changed) {
      Status waited = wait_in_flight();  // a context must not take new shapes while it runs with the old ones
      if (!waited.ok()) return waited;
      graph_.forget();
      changed = true;
    }
    Dims shape{};
    shape.nbDims = static_cast<int32_t>(slot.view.rank);
    std::copy(slot.view.sizes, slot.view.sizes + slot.view.rank, shape.d);
    const ErrorScope errors;
    if (!context_->setInputShape(io_.inputs[i].name.c_str(), shape)) {
      slot.shape.nbDims = -1;
      return engine_refused("setInputShape", io_.inputs[i].name, errors.words());
    }
    slot.shape = shape;
  }
  const bool unknown =
      std::any_of(outputs_.begin(), outputs_.end(), [](const Slot& slot) { return slot.shape.nbDims < 0; });
  return changed || unknown ? infer_outputs() : ok_status();
}

Status Execution::infer_outputs() {
  const ErrorScope errors;
  if (context_->inferShapes(0, nullptr) != 0) return engine_refused("inferShapes", {}, errors.words());
  for (size_t i = 0; i < outputs_.size(); ++i) {
    Status read = read_output(i);
    if (!read.ok()) return read;
  }
  return ok_status();
}

Status Execution::read_output(size_t index) {
  const IoTensor& tensor = io_.outputs[index];
  Slot& slot = outputs_[index];
  slot.shape = context_->getTensorShape(tensor.name.c_str());
  const std::optional<int64_t> elements = volume(slot.shape);
  const bool fits = elements && std::all_of(slot.shape.d, slot.shape.d + slot.shape.nbDims,
                                            [](int64_t size) { return size <= std::numeric_limits<SizesType>::max(); });
  if (!fits || static_cast<uint64_t>(*elements) > std::numeric_limits<size_t>::max() / tensor.element_bytes) {
    slot.shape.nbDims = -1;
    return Failure{ErrorCode::EngineFault, subject_ + ", tensor " + quoted(tensor.name),
                   "a shape that ExecuTorch cannot hold", "dimensions from 0 to 2^31-1", "Use smaller inputs"};
  }
  slot.nbytes = static_cast<size_t>(*elements) * tensor.element_bytes;
  std::transform(slot.shape.d, slot.shape.d + slot.shape.nbDims, slot.sizes.begin(),
                 [](int64_t size) { return static_cast<SizesType>(size); });
  return ok_status();
}

Status Execution::take_outputs(OutputSink& sink) {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    Slot& slot = outputs_[i];
    const size_t rank = io_.outputs[i].is_scalar ? 0 : static_cast<size_t>(slot.shape.nbDims);
    Result<TensorView> view = sink.resize(i, slot.sizes.data(), rank);
    if (!view.ok()) return std::move(view).failure();
    slot.view = view.value();
    if (slot.view.nbytes == slot.nbytes) continue;
    return Failure{ErrorCode::BadArgument, "output " + quoted(io_.outputs[i].name),
                   std::to_string(slot.view.nbytes) + " bytes", std::to_string(slot.nbytes) + " bytes",
                   "Give the output the dtype and shape that the engine has"};
  }
  return ok_status();
}

}  // namespace torchtrt_ws::tensorrt
