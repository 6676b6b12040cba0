#include "python/call.h"

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/exec_aten/exec_aten.h>
#include <executorch/runtime/core/exec_aten/util/scalar_type_util.h>
#include <executorch/runtime/core/exec_aten/util/tensor_dimension_limit.h>
#include <nanobind/ndarray.h>

#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "engine/dtype.h"
#include "python/buffer_view.h"
#include "python/device_memory_functions.h"
#include "python/log_lines.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::python {
namespace nb = nanobind;
namespace {

using executorch::aten::DimOrderType;
using executorch::aten::SizesType;
using executorch::aten::StridesType;
using executorch::aten::Tensor;
using executorch::aten::TensorImpl;
using executorch::runtime::EValue;

constexpr size_t kMostDimensions = executorch::runtime::kTensorDimensionLimit;

NativeError refused(const std::string& role, size_t position, const std::string& found, const std::string& expected) {
  return NativeError("InvalidArgument", role + " " + std::to_string(position), found, expected, "Convert it first");
}

/// A number of Python's, or its exception.
template <typename Number>
Number as_number(Number (*read)(PyObject*), PyObject* object) {
  const Number number = read(object);
  if (PyErr_Occurred() != nullptr) throw nb::python_error();
  return number;
}

/// An ExecuTorch tensor over somebody's memory: nothing is copied.
struct TensorHere {
  std::array<SizesType, kMostDimensions> sizes;
  std::array<DimOrderType, kMostDimensions> order;
  std::array<StridesType, kMostDimensions> strides;
  std::optional<TensorImpl> impl;

  template <typename Size>
  Tensor make(const Slot& slot, void* data, size_t rank, Size size_of, size_t position) {
    if (rank > kMostDimensions) {
      throw refused("input", position, std::to_string(rank) + " dimensions",
                    "at most " + std::to_string(kMostDimensions));
    }
    StridesType stride = 1;
    for (size_t i = rank; i-- > 0;) {
      const auto size = size_of(i);
      if (size < 0 || static_cast<uint64_t>(size) > INT32_MAX) {
        throw refused("input", position, "a dimension of " + std::to_string(size), "at most 2^31-1");
      }
      sizes[i] = static_cast<SizesType>(size);
      order[i] = static_cast<DimOrderType>(i);
      strides[i] = stride;
      stride *= sizes[i];
    }
    impl.emplace(slot.dtype, static_cast<ssize_t>(rank), sizes.data(), data, order.data(), strides.data());
    return Tensor(&*impl);
  }
};

/// What the arguments are made of; it outlives the run.
struct Arguments {
  std::deque<BufferView> buffers;
  std::deque<TensorHere> tensors;
  std::vector<EValue> values;
  std::vector<Destination> destinations;
};

void add_input(Arguments& arguments, const Slot& slot, nb::handle object, size_t position) {
  if (!slot.is_tensor) {
    if (PyBool_Check(object.ptr())) {
      arguments.values.emplace_back(object.ptr() == Py_True);
    } else if (PyLong_Check(object.ptr())) {
      arguments.values.emplace_back(nb::cast<int64_t>(object));
    } else {
      arguments.values.emplace_back(nb::cast<double>(object));
    }
    return;
  }
  TensorHere& tensor = arguments.tensors.emplace_back();
  if (PyTuple_CheckExact(object.ptr()) && PyTuple_Size(object.ptr()) == 2) {
    PyObject* shape = PyTuple_GetItem(object.ptr(), 1);
    if (!PyTuple_Check(shape)) throw refused("input", position, "a shape that is no tuple", "a tuple");
    const auto size_of = [shape](size_t i) {
      return as_number<Py_ssize_t>(PyLong_AsSsize_t, PyTuple_GetItem(shape, static_cast<Py_ssize_t>(i)));
    };
    void* address = as_number<void*>(PyLong_AsVoidPtr, PyTuple_GetItem(object.ptr(), 0));
    arguments.values.emplace_back(
        tensor.make(slot, address, static_cast<size_t>(PyTuple_Size(shape)), size_of, position));
    return;
  }
  const Py_buffer& view = *arguments.buffers.emplace_back(object, PyBUF_ND);
  const auto size_of = [&view](size_t i) { return view.shape[i]; };
  const Tensor made = tensor.make(slot, view.buf, static_cast<size_t>(view.ndim), size_of, position);
  if (made.nbytes() != static_cast<size_t>(view.len)) {
    throw refused("input", position, std::to_string(view.len) + " bytes", std::to_string(made.nbytes()));
  }
  arguments.values.emplace_back(made);
}

void add_output(Arguments& arguments, nb::handle object) {
  if (object.is_none()) {
    arguments.destinations.emplace_back();
    return;
  }
  nb::handle memory = object;
  int from_device = -1;
  if (PyTuple_CheckExact(object.ptr()) && PyTuple_Size(object.ptr()) >= 2) {
    PyObject* first = PyTuple_GetItem(object.ptr(), 0);
    const auto second = as_number<size_t>(PyLong_AsSize_t, PyTuple_GetItem(object.ptr(), 1));
    if (PyLong_Check(first)) {
      const bool on_host = PyTuple_Size(object.ptr()) == 3;
      arguments.destinations.push_back({true, on_host, -1, as_number<void*>(PyLong_AsVoidPtr, first), second});
      return;
    }
    memory = first;
    from_device = static_cast<int>(second);
  }
  const Py_buffer& view = *arguments.buffers.emplace_back(memory, PyBUF_WRITABLE | PyBUF_ND);
  arguments.destinations.push_back({true, true, from_device, view.buf, static_cast<size_t>(view.len)});
}

void read_arguments(Arguments& arguments, const Slots& slots, nb::sequence inputs, nb::object outputs) {
  size_t position = 0;
  for (nb::handle each : inputs) {
    if (position == slots.inputs.size()) break;
    add_input(arguments, slots.inputs[position], each, position);
    ++position;
  }
  if (position != slots.inputs.size() || nb::len(inputs) != position) {
    throw NativeError("InvalidArgument", "call", std::to_string(nb::len(inputs)) + " inputs",
                      std::to_string(slots.inputs.size()), "Pass one for each");
  }
  if (outputs.is_none()) return;
  for (nb::handle each : outputs) add_output(arguments, each);
}

/// An output as it is when the run is over.
struct Taken {
  bool given = false;  // it is in the caller's memory
  EValue value;        // else, without its memory: a number, or what `bytes` holds
  std::unique_ptr<char[]> bytes;
  std::vector<size_t> shape;
  const Dtype* dtype = nullptr;
};

NativeError no_output(size_t position, const std::string& found, const std::string& expected) {
  return NativeError("NotSupported", "output " + std::to_string(position), found, expected,
                     "Change what the method returns");
}

/// Copies what is not where it should be. Before the next run, which overwrites it; without the GIL.
Taken take(const EValue& value, const Arguments& arguments, size_t position) {
  Taken taken;
  if (!value.isTensor()) {
    taken.value = value;
    return taken;
  }
  const Tensor tensor = value.toTensor();
  taken.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
  const size_t nbytes = tensor.nbytes();
  const void* data = tensor.const_data_ptr();
  if (position < arguments.destinations.size() && arguments.destinations[position].given) {
    const Destination& destination = arguments.destinations[position];
    taken.given = true;
    if (nbytes == 0 || data == destination.data) return taken;
    if (!destination.on_host) throw no_output(position, "memory of another tensor", "memory of its own");
    if (nbytes > destination.nbytes) {
      throw NativeError("InvalidArgument", "output " + std::to_string(position), std::to_string(nbytes) + " bytes",
                        "at most " + std::to_string(destination.nbytes), "Give it more memory");
    }
    if (data == nullptr) return taken;
    if (destination.from_device < 0) {
      std::memcpy(destination.data, data, nbytes);
    } else {
      download(destination.data, data, nbytes, destination.from_device);  // it waits for the caller's stream
    }
    return taken;
  }
  taken.dtype = find_dtype(tensor.scalar_type());
  if (taken.dtype == nullptr) throw no_output(position, "a dtype that has no name", "one that numpy or torch has");
  taken.bytes = std::make_unique<char[]>(nbytes + 1);  // never empty: a null pointer is no array
  if (nbytes > 0 && data != nullptr) std::memcpy(taken.bytes.get(), data, nbytes);
  return taken;
}

nb::object to_python(Taken& taken, size_t position) {
  if (taken.given) {
    nb::list shape;
    for (const size_t size : taken.shape) shape.append(size);
    return nb::tuple(shape);
  }
  if (taken.bytes == nullptr) {
    const EValue& value = taken.value;
    if (value.isNone()) return nb::none();
    if (value.isInt()) return nb::cast(value.toInt());
    if (value.isDouble()) return nb::cast(value.toDouble());
    if (value.isBool()) return nb::cast(value.toBool());
    throw no_output(position, "a value that is neither a tensor nor a number", "one of these");
  }
  const auto bits = static_cast<uint8_t>(8 * taken.dtype->bytes);
  const auto code =
      taken.dtype->in_numpy ? taken.dtype->dlpack_code : static_cast<uint8_t>(nb::dlpack::dtype_code::UInt);
  char* data = taken.bytes.release();
  nb::capsule owner(data, [](void* memory) noexcept { delete[] static_cast<char*>(memory); });
  return nb::cast(nb::ndarray<nb::numpy>(data, taken.shape.size(), taken.shape.data(), owner, nullptr,
                                         nb::dlpack::dtype{code, bits, 1}));
}

}  // namespace

nb::list execute(Program& program, const std::string& method, nb::sequence inputs, nb::object outputs,
                 std::optional<uintptr_t> stream, bool wait) {
  const Slots* slots = program.find_slots(method);
  if (slots == nullptr) {
    const Unlocked unlocked;  // it waits for a run in flight
    program.load_method(method);
    slots = program.find_slots(method);
  }
  Arguments arguments;
  arguments.values.reserve(slots->inputs.size());
  read_arguments(arguments, *slots, inputs, std::move(outputs));
  std::vector<Taken> taken;
  {
    const Unlocked unlocked;  // before waiting for the program's lock
    std::optional<CallerStreamGuard> guard;
    if (stream) guard.emplace(reinterpret_cast<void*>(*stream), !wait);
    program.execute(method, arguments.values, arguments.destinations, [&](const std::vector<EValue>& results) {
      taken.reserve(results.size());
      for (size_t i = 0; i < results.size(); ++i) taken.push_back(take(results[i], arguments, i));
    });
  }
  nb::list made;
  for (size_t i = 0; i < taken.size(); ++i) made.append(to_python(taken[i], i));
  return made;
}

}  // namespace torchtrt_ws::python
