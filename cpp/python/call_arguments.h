#pragma once

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/exec_aten/exec_aten.h>
#include <executorch/runtime/core/exec_aten/util/tensor_dimension_limit.h>
#include <nanobind/nanobind.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/dtype.h"
#include "python/buffer_view.h"
#include "python/program.h"

namespace torchtrt_ws::python {

/// The failure of an input or output (`role`) at `position`.
NativeError refused(const std::string& role, size_t position, const std::string& found, const std::string& expected);

/// The same of what a method returns.
NativeError no_output(size_t position, const std::string& found, const std::string& expected);

/// An ExecuTorch tensor over somebody's memory: nothing is copied.
struct TensorHere {
  static constexpr size_t kMostDimensions = executorch::runtime::kTensorDimensionLimit;

  std::array<executorch::aten::SizesType, kMostDimensions> sizes;
  std::array<executorch::aten::DimOrderType, kMostDimensions> order;
  std::array<executorch::aten::StridesType, kMostDimensions> strides;
  std::optional<executorch::aten::TensorImpl> impl;

  /// `size_of(i)` is the size of dimension i. Throws NativeError for a shape that ExecuTorch cannot have.
  template <typename Size>
  executorch::aten::Tensor make(const Slot& slot, void* data, size_t rank, Size size_of, size_t position) {
    if (rank > kMostDimensions) {
      throw refused("input", position, std::to_string(rank) + " dimensions",
                    "at most " + std::to_string(kMostDimensions));
    }
    executorch::aten::StridesType stride = 1;
    for (size_t i = rank; i-- > 0;) {
      const auto size = size_of(i);
      if (size < 0 || static_cast<uint64_t>(size) > INT32_MAX) {
        throw refused("input", position, "a dimension of " + std::to_string(size), "at most 2^31-1");
      }
      sizes[i] = static_cast<executorch::aten::SizesType>(size);
      order[i] = static_cast<executorch::aten::DimOrderType>(i);
      strides[i] = stride;
      stride *= sizes[i];
    }
    impl.emplace(slot.dtype, static_cast<ssize_t>(rank), sizes.data(), data, order.data(), strides.data());
    return executorch::aten::Tensor(&*impl);
  }
};

/// What the arguments of a call are made of; it outlives the run.
struct Arguments {
  std::deque<BufferView> buffers;
  std::deque<TensorHere> tensors;
  std::vector<executorch::runtime::EValue> values;
  std::vector<Destination> destinations;
};

/// An output as it is when the run is over.
struct Taken {
  bool given = false;                 // it is in the memory of its destination
  executorch::runtime::EValue value;  // else, without its memory: a number, or what `bytes` holds
  std::unique_ptr<char[]> bytes;
  std::vector<size_t> shape;
  const Dtype* dtype = nullptr;
};

/// What a method declares, which is loaded if it was not. Needs the GIL, and gives it away while it loads.
const Slots& loaded_slots(Program& program, const std::string& method);

/// Runs with arguments that are ready, and copies what is not where it should be before anyone else may run. `stream`
/// and `wait`: as `execute` takes them (python/call.h). Needs the GIL, and gives it away meanwhile.
std::vector<Taken> run(Program& program, const std::string& method, const Arguments& arguments,
                       std::optional<uintptr_t> stream, bool wait);

}  // namespace torchtrt_ws::python
