#include "python/exchange_path.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "engine/dtype.h"
#include "python/call_arguments.h"

namespace torchtrt_ws::python {
namespace nb = nanobind;
namespace {

using nb::dlpack::dltensor;

constexpr const char* kApiName = "__dlpack_c_exchange_api__";

/// The table of a class, in the version that is known here; null: it has none.
const ExchangeApi* find_api(nb::handle type) {
  const nb::object capsule = nb::getattr(type, kApiName, nb::none());
  if (!PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) return nullptr;
  const auto* api = static_cast<const ExchangeApi*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  while (api != nullptr && api->version.major != kDlpackMajor) api = api->previous;
  return api != nullptr && api->look != nullptr ? api : nullptr;
}

bool is_contiguous(const dltensor& tensor) {
  if (tensor.strides == nullptr) return true;  // DLPack's word for it
  int64_t expected = 1;
  for (int32_t i = tensor.ndim; i-- > 0;) {
    if (tensor.shape[i] == 0) return true;
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

bool is_empty(const dltensor& tensor) {
  return std::any_of(tensor.shape, tensor.shape + tensor.ndim, [](int64_t size) { return size == 0; });
}

void* data_of(const dltensor& tensor) {
  return tensor.data == nullptr ? nullptr : static_cast<char*>(tensor.data) + tensor.byte_offset;
}

/// A tensor of ours that a library takes over: the first part of another's memory, or bytes.
struct Handed : ManagedTensor {
  Handed(ManagedTensorPtr whole_, std::unique_ptr<char[]> bytes_, const std::vector<size_t>& shape)
      : whole(std::move(whole_)),
        bytes(std::move(bytes_)),
        sizes(shape.begin(), shape.end()),
        strides(shape.size(), 1) {
    for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * sizes[i];
    version.major = kDlpackMajor;
    deleter = [](ManagedTensor* self) { delete static_cast<Handed*>(self); };
    tensor.device = whole ? whole->tensor.device : nb::dlpack::device{kDlpackCpu, 0};
    tensor.data = whole ? data_of(whole->tensor) : bytes.get();
    tensor.ndim = static_cast<int32_t>(shape.size());
    tensor.shape = sizes.data();
    tensor.strides = strides.data();
  }

  const ManagedTensorPtr whole;
  const std::unique_ptr<char[]> bytes;
  std::vector<int64_t> sizes, strides;
};

}  // namespace

struct ExchangePath::Call {
  Arguments arguments;
  std::vector<nb::object> given;       // the caller's outputs; empty: there are none
  std::vector<ManagedTensorPtr> made;  // else the library's; null: the run makes it
};

ExchangePath::ExchangePath(nb::type_object type, std::string method, const std::vector<DeclaredTensor>& inputs,
                           const std::vector<DeclaredTensor>& outputs, int device)
    : type_(type), method_(std::move(method)), api_(find_api(type_)), device_(device) {
  if (api_ == nullptr) {
    throw NativeError("NotSupported", "a class of tensors", "no DLPack exchange API of version 1", "one", "");
  }
  for (const DeclaredTensor& each : inputs) inputs_.push_back(wanted(each));
  for (const DeclaredTensor& each : outputs) outputs_.push_back(wanted(each));
  if (nb::hasattr(type_, "is_neg")) is_negated_ = nb::str("is_neg");
}

ExchangePath::Wanted ExchangePath::wanted(const DeclaredTensor& declared) {
  const auto& [name, shape, dynamic, planned] = declared;
  const Dtype* dtype = find_dtype(name);
  if (dtype == nullptr) throw NativeError("NotSupported", "a dtype", name, "one that DLPack has", "");
  size_t bytes = dtype->bytes;
  for (const int64_t size : shape) bytes *= static_cast<size_t>(size);
  return {{dtype->dlpack_code, static_cast<uint8_t>(8 * dtype->bytes), 1}, shape, dynamic, planned, bytes};
}

/// Whether `value` is as `wanted` says, and where this path can reach it.
bool ExchangePath::look(nb::handle value, const Wanted& wanted, dltensor& seen) const {
  if (value.type().ptr() != type_.ptr()) return false;
  if (is_negated_.is_valid() && value.attr(is_negated_)().ptr() == Py_True) return false;
  if (api_->look(value.ptr(), &seen) != 0) {
    PyErr_Clear();
    return false;
  }
  const bool is_here = device_ < 0 ? seen.device.device_type == kDlpackCpu || seen.device.device_type == kDlpackCudaHost
                                   : seen.device.device_type == kDlpackCuda && seen.device.device_id == device_;
  if (!is_here || seen.dtype != wanted.dtype || static_cast<size_t>(seen.ndim) != wanted.shape.size()) return false;
  for (size_t i = 0; i < wanted.shape.size(); ++i) {
    if (wanted.dynamic ? seen.shape[i] > wanted.shape[i] : seen.shape[i] != wanted.shape[i]) return false;
  }
  // No memory, and yet elements: torch's tensors of zeros that nobody wrote.
  return is_contiguous(seen) && (seen.data != nullptr || is_empty(seen));
}

bool ExchangePath::add_inputs(Call& call, const Slots& slots, nb::sequence given) const {
  call.arguments.values.reserve(inputs_.size());
  size_t position = 0;
  for (nb::handle value : given) {
    if (position == inputs_.size()) return false;
    dltensor seen;
    if (!look(value, inputs_[position], seen)) return false;
    const auto size_of = [&seen](size_t i) { return seen.shape[i]; };
    call.arguments.values.emplace_back(call.arguments.tensors.emplace_back().make(
        slots.inputs[position], data_of(seen), static_cast<size_t>(seen.ndim), size_of, position));
    ++position;
  }
  return position == inputs_.size();
}

bool ExchangePath::add_given_outputs(Call& call, nb::handle out) const {
  if (!PyList_CheckExact(out.ptr()) && !PyTuple_CheckExact(out.ptr())) return false;
  for (nb::handle value : out) {
    const size_t position = call.given.size();
    dltensor seen;
    if (position == outputs_.size() || outputs_[position].dynamic || !look(value, outputs_[position], seen)) {
      return false;
    }
    call.given.push_back(nb::borrow(value));
    call.arguments.destinations.push_back({true, device_ < 0, -1, data_of(seen), outputs_[position].most_bytes});
  }
  return call.given.size() == outputs_.size();
}

bool ExchangePath::add_new_outputs(Call& call) const {
  for (const Wanted& wanted : outputs_) {
    ManagedTensorPtr& made = call.made.emplace_back();
    Destination& destination = call.arguments.destinations.emplace_back();
    if (wanted.dynamic && wanted.planned) continue;  // how large it is, the run knows
    std::vector<int64_t> shape = wanted.shape;
    dltensor prototype;
    prototype.device = {device_ < 0 ? kDlpackCpu : kDlpackCuda, std::max(device_, 0)};
    prototype.dtype = wanted.dtype;
    prototype.ndim = static_cast<int32_t>(shape.size());
    prototype.shape = shape.data();
    ManagedTensor* memory = nullptr;
    const auto ignore = [](void*, const char*, const char*) {};
    if (api_->allocate(&prototype, &memory, nullptr, ignore) != 0 || memory == nullptr) {
      PyErr_Clear();  // it should have left none
      return false;
    }
    made.reset(memory);
    destination = {true, device_ < 0, -1, data_of(memory->tensor), wanted.most_bytes};
  }
  return true;
}

nb::object ExchangePath::call(Program& program, nb::sequence given, nb::object out) const {
  const Slots& slots = loaded_slots(program, method_);
  Call call;
  if (!add_inputs(call, slots, given) || !(out.is_none() ? add_new_outputs(call) : add_given_outputs(call, out))) {
    return nb::none();
  }
  std::optional<uintptr_t> stream;
  if (device_ >= 0) {
    void* current = nullptr;
    if (api_->current_stream(kDlpackCuda, device_, &current) != 0) {
      PyErr_Clear();
      return nb::none();
    }
    stream = reinterpret_cast<uintptr_t>(current);
  }
  std::vector<Taken> taken = run(program, method_, call.arguments, stream, false);
  nb::list results;
  for (size_t i = 0; i < taken.size(); ++i) {
    if (!call.given.empty()) {
      results.append(call.given[i]);
      continue;
    }
    ManagedTensorPtr made = std::move(call.made[i]);
    const std::vector<int64_t>& most = outputs_[i].shape;
    if (!made || !std::equal(taken[i].shape.begin(), taken[i].shape.end(), most.begin(), most.end())) {
      auto handed = std::make_unique<Handed>(std::move(made), std::move(taken[i].bytes), taken[i].shape);
      handed->tensor.dtype = outputs_[i].dtype;
      made.reset(handed.release());
    }
    void* object = nullptr;
    if (api_->to_python(made.release(), &object) != 0) {
      if (PyErr_Occurred() != nullptr) throw nb::python_error();
      throw no_output(i, "a tensor that its library would not take", "one that it takes");
    }
    results.append(nb::steal(static_cast<PyObject*>(object)));
  }
  return results;
}

}  // namespace torchtrt_ws::python
