#include "delegate/arguments.h"

#include <executorch/runtime/core/exec_aten/util/scalar_type_util.h>
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>

#include <string>

#include "base/quote.h"

namespace torchtrt_ws {
namespace {

using executorch::aten::SizesType;
using executorch::aten::Tensor;
using executorch::runtime::EValue;
using executorch::runtime::Span;

/// Sizes, or bounds where the two ends differ: "[1..4, 2]".
template <typename Size>
std::string shape_text(const Size* min, const Size* max, size_t rank) {
  std::string text = "[";
  for (size_t i = 0; i < rank; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(min[i]);
    if (max[i] != min[i]) text += ".." + std::to_string(max[i]);
  }
  return text + "]";
}

std::string shape_text(const SizesType* sizes, size_t rank) { return "shape " + shape_text(sizes, sizes, rank); }

std::string dtype_text(executorch::aten::ScalarType type) {
  return std::string("dtype ") + executorch::runtime::toString(type);
}

Failure refused(const char* role, const TensorSpec& spec, std::string found, std::string expected) {
  return {ErrorCode::BadArgument, std::string(role) + " '" + escaped(spec.name) + "'", std::move(found),
          std::move(expected), "Pass a tensor that fits the engine"};
}

bool within_bounds(const TensorSpec& spec, const Tensor& tensor) {
  const auto rank = static_cast<size_t>(tensor.dim());
  if (rank != spec.min.size()) return false;
  const auto sizes = tensor.sizes();
  for (size_t i = 0; i < rank; ++i) {
    if (sizes[i] < spec.min[i] || sizes[i] > spec.max[i]) return false;
  }
  return true;
}

bool is_contiguous(const Tensor& tensor) {
  const auto order = tensor.dim_order();
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] != i) return false;
  }
  return true;
}

TensorView view_of(const Tensor& tensor) {
  return {tensor.scalar_type(), const_cast<void*>(tensor.const_data_ptr()), tensor.sizes().data(),
          static_cast<size_t>(tensor.dim()), tensor.nbytes()};
}

/// A damaged program may plan no memory for a tensor that needs some.
bool has_memory(const Tensor& tensor) { return tensor.const_data_ptr() != nullptr || tensor.nbytes() == 0; }

Status check_input(const TensorSpec& spec, const Tensor& tensor) {
  if (tensor.scalar_type() != spec.dtype) {
    return refused("input", spec, dtype_text(tensor.scalar_type()), dtype_text(spec.dtype));
  }
  if (!within_bounds(spec, tensor)) {
    return refused("input", spec, shape_text(tensor.sizes().data(), static_cast<size_t>(tensor.dim())),
                   "shape within " + shape_text(spec.min.data(), spec.max.data(), spec.min.size()));
  }
  if (!is_contiguous(tensor)) return refused("input", spec, "a permuted dim order", "the contiguous one");
  if (!has_memory(tensor)) return refused("input", spec, "no memory behind it", "a tensor with data");
  return ok_status();
}

}  // namespace

Status check_inputs(const Engine& engine, Span<EValue*> args, std::vector<TensorView>& views) {
  const auto& specs = engine.inputs();
  const size_t expected = specs.size() + engine.outputs().size();
  if (args.size() != expected) {
    return Failure{ErrorCode::BadArgument, "delegate call", std::to_string(args.size()) + " arguments",
                   std::to_string(specs.size()) + " inputs and " + std::to_string(engine.outputs().size()) + " outputs",
                   "The program and its engine do not belong together; save it again"};
  }
  views.resize(specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    if (args[i] == nullptr || !args[i]->isTensor()) {
      return refused("input", specs[i], "no tensor", "a tensor");
    }
    const Tensor tensor = args[i]->toTensor();
    Status checked = check_input(specs[i], tensor);
    if (!checked.ok()) return checked;
    views[i] = view_of(tensor);
  }
  return ok_status();
}

void note_planned(const Engine& engine, Span<EValue*> args, std::vector<size_t>& planned) {
  planned.resize(engine.outputs().size());
  for (size_t i = 0; i < planned.size(); ++i) {
    const EValue* arg = args[engine.inputs().size() + i];
    if (arg != nullptr && arg->isTensor()) planned[i] = arg->toTensor().nbytes();
  }
}

Result<TensorView> OutputArguments::resize(size_t index, const SizesType* sizes, size_t rank) {
  const TensorSpec& spec = engine_.outputs()[index];
  EValue* arg = args_[engine_.inputs().size() + index];
  if (arg == nullptr || !arg->isTensor()) return refused("output", spec, "no tensor", "a tensor");
  Tensor tensor = arg->toTensor();
  if (tensor.scalar_type() != spec.dtype) {
    return refused("output", spec, dtype_text(tensor.scalar_type()), dtype_text(spec.dtype));
  }
  // TensorRT gives a 0-d tensor back as one element of rank 1, and ExecuTorch's rank never changes.
  const bool scalar = tensor.dim() == 0 && rank == 1 && sizes[0] == 1;
  const auto error =
      scalar ? executorch::runtime::Error::Ok
             : executorch::runtime::resize_tensor(tensor, executorch::aten::ArrayRef<SizesType>(sizes, rank));
  if (error != executorch::runtime::Error::Ok) {
    size_t bytes = static_cast<size_t>(tensor.element_size());
    for (size_t i = 0; i < rank; ++i) bytes *= static_cast<size_t>(sizes[i]);
    return refused("output", spec, shape_text(sizes, rank) + " from the engine, " + std::to_string(bytes) + " bytes",
                   "no more than the " + std::to_string(planned_[index]) + " bytes that the program planned for it");
  }
  if (!has_memory(tensor)) return refused("output", spec, "no memory behind it", "a tensor with data");
  return view_of(tensor);
}

}  // namespace torchtrt_ws
