#include "python/device_memory_functions.h"

#include <executorch/runtime/core/device_allocator.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/dtype.h"
#include "python/log_lines.h"
#include "python/program.h"
#include "python/unlocked.h"
#include "torchtrt_ws/last_error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace torchtrt_ws::python {
namespace {

using executorch::runtime::DeviceAllocator;
using executorch::runtime::Error;
using executorch::runtime::etensor::DeviceIndex;
using executorch::runtime::etensor::DeviceType;

constexpr char kSubject[] = "device memory";
constexpr size_t kAlignment = 256;  // what TensorRT wants of an address (engine/tensorrt/place.h)

DeviceAllocator& allocator() {
  DeviceAllocator* found = executorch::runtime::get_device_allocator(DeviceType::CUDA);
  if (found != nullptr) return *found;
  throw NativeError(executorch::runtime::to_string(Error::NotSupported), kSubject,
                    "no allocator for CUDA in ExecuTorch", "one",
                    "Leave TORCHTRT_WS_DEVICE_ALLOCATOR unset, or load what registers another");
}

void check(Error error) {
  if (error != Error::Ok) throw_error(error, kSubject, "a CUDA device that works");
}

/// Bytes on a device, given back when it goes. Its copies wait until they are done.
class DeviceBuffer {
 public:
  DeviceBuffer(size_t nbytes, int device) : nbytes_(nbytes), device_(static_cast<DeviceIndex>(device)) {
    clear_last_error();
    forget_error_lines();
    auto memory = allocator().allocate(nbytes == 0 ? 1 : nbytes, device_, kAlignment);
    if (!memory.ok()) throw_error(memory.error(), kSubject, "memory for " + std::to_string(nbytes) + " bytes");
    data_ = *memory;
  }
  ~DeviceBuffer() { allocator().deallocate(data_, device_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  void* data() const { return data_; }
  size_t nbytes() const { return nbytes_; }
  int device() const { return device_; }

 private:
  void* data_ = nullptr;
  const size_t nbytes_;
  const DeviceIndex device_;
};

/// Where a contiguous object with Python's buffer protocol lies.
struct HostBytes {
  HostBytes(nb::handle object, int flags) {
    if (PyObject_GetBuffer(object.ptr(), &view, flags) != 0) throw nb::python_error();
  }
  ~HostBytes() { PyBuffer_Release(&view); }
  HostBytes(const HostBytes&) = delete;
  HostBytes& operator=(const HostBytes&) = delete;
  Py_buffer view{};
};

void upload(uintptr_t address, nb::handle host, int device) {
  const HostBytes bytes(host, PyBUF_ND);
  const Unlocked unlocked;
  clear_last_error();
  forget_error_lines();
  check(allocator().copy_host_to_device(reinterpret_cast<void*>(address), bytes.view.buf,
                                        static_cast<size_t>(bytes.view.len), static_cast<DeviceIndex>(device)));
}

void download_to(uintptr_t address, nb::handle host, int device) {
  const HostBytes bytes(host, PyBUF_WRITABLE | PyBUF_ND);
  const Unlocked unlocked;
  download(bytes.view.buf, reinterpret_cast<const void*>(address), static_cast<size_t>(bytes.view.len), device);
}

/// `buffer`, a DeviceBuffer, as an object with `__dlpack__`, which keeps it. What is in it must be there: whoever takes
/// it waits for no stream.
nb::object as_dlpack(nb::handle buffer, const std::vector<size_t>& shape, const std::string& dtype) {
  const Dtype* known = find_dtype(std::string_view(dtype));
  if (known == nullptr) throw nb::value_error("no such dtype");
  const auto& memory = nb::cast<const DeviceBuffer&>(buffer);
  const nb::dlpack::dtype type{known->dlpack_code, static_cast<uint8_t>(8 * known->bytes), 1};
  return nb::cast(nb::ndarray<nb::array_api>(memory.data(), shape.size(), shape.data(), buffer, nullptr, type,
                                             nb::device::cuda::value, memory.device()));
}

/// A tensor that `__dlpack__` gave, held while this lives.
class Imported {
 public:
  explicit Imported(nb::ndarray<nb::ro> tensor) : tensor_(std::move(tensor)) {}

  uintptr_t address() const { return reinterpret_cast<uintptr_t>(tensor_.data()); }

  nb::tuple shape() const {
    nb::list sizes;
    for (size_t i = 0; i < tensor_.ndim(); ++i) sizes.append(tensor_.shape(i));
    return nb::tuple(sizes);
  }

  /// As in the program's metadata; empty: none that ExecuTorch has.
  std::string dtype() const {
    for (const Dtype& known : kDtypes) {
      if (tensor_.dtype() == nb::dlpack::dtype{known.dlpack_code, static_cast<uint8_t>(8 * known.bytes), 1}) {
        return known.name;
      }
    }
    return "";
  }

  bool contiguous() const {
    int64_t stride = 1;
    for (size_t i = tensor_.ndim(); i-- > 0;) {
      if (tensor_.shape(i) != 1 && tensor_.stride(i) != stride) return tensor_.size() == 0;
      stride *= static_cast<int64_t>(tensor_.shape(i));
    }
    return true;
  }

 private:
  nb::ndarray<nb::ro> tensor_;
};

}  // namespace

void download(void* to, const void* from, size_t nbytes, int device) {
  clear_last_error();
  forget_error_lines();
  check(allocator().copy_device_to_host(to, from, nbytes, static_cast<DeviceIndex>(device)));
}

void add_device_memory_functions(nb::module_& module) {
  nb::class_<DeviceBuffer>(module, "DeviceBuffer")
      .def(nb::init<size_t, int>(), "nbytes"_a, "device"_a, nb::call_guard<Unlocked>())
      .def_prop_ro("address", [](const DeviceBuffer& buffer) { return reinterpret_cast<uintptr_t>(buffer.data()); })
      .def_prop_ro("nbytes", &DeviceBuffer::nbytes)
      .def_prop_ro("device", &DeviceBuffer::device);
  nb::class_<Imported>(module, "Imported")
      .def(nb::init<nb::ndarray<nb::ro>>(), "tensor"_a)
      .def_prop_ro("address", &Imported::address)
      .def_prop_ro("shape", &Imported::shape)
      .def_prop_ro("dtype", &Imported::dtype)
      .def_prop_ro("contiguous", &Imported::contiguous);
  module.def("upload", &upload, "address"_a, "host"_a, "device"_a);
  module.def("download", &download_to, "address"_a, "host"_a, "device"_a);
  module.def("as_dlpack", &as_dlpack, "buffer"_a, "shape"_a, "dtype"_a);
}

}  // namespace torchtrt_ws::python
