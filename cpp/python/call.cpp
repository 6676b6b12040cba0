#include "python/call.h"

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/exec_aten/exec_aten.h>
#include <nanobind/ndarray.h>

#include <utility>
#include <vector>

#include "python/call_arguments.h"

namespace torchtrt_ws::python {
namespace nb = nanobind;
namespace {

using executorch::aten::Tensor;
using executorch::runtime::EValue;

/// A number of Python's, or its exception.
template <typename Number>
Number as_number(Number (*read)(PyObject*), PyObject* object) {
  const Number number = read(object);
  if (PyErr_Occurred() != nullptr) throw nb::python_error();
  return number;
}

/// A number of type `Number` from `object`; refused where it is none, or is too large.
template <typename Number>
Number number_from(nb::handle object, size_t position) {
  Number number{};
  if (!nb::try_cast(object, number)) throw refused("input", position, "an object that is no such number", "a number");
  return number;
}

void add_input(Arguments& arguments, const Slot& slot, nb::handle object, size_t position) {
  if (!slot.is_tensor) {
    if (PyBool_Check(object.ptr())) {
      arguments.values.emplace_back(object.ptr() == Py_True);
    } else if (PyLong_Check(object.ptr())) {
      arguments.values.emplace_back(number_from<int64_t>(object, position));
    } else {
      arguments.values.emplace_back(number_from<double>(object, position));
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
  const Slots& slots = loaded_slots(program, method);
  Arguments arguments;
  arguments.values.reserve(slots.inputs.size());
  read_arguments(arguments, slots, inputs, std::move(outputs));
  std::vector<Taken> taken = run(program, method, arguments, stream, wait);
  nb::list made;
  for (size_t i = 0; i < taken.size(); ++i) made.append(to_python(taken[i], i));
  return made;
}

}  // namespace torchtrt_ws::python
