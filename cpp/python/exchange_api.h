#pragma once

#include <nanobind/ndarray.h>

#include <cstdint>
#include <memory>

namespace torchtrt_ws::python {

// What a library of tensors lets others call in C, so that its tensors are taken and made without a call of Python: the
// ABI behind `__dlpack_c_exchange_api__` of a tensor's class (DLPackExchangeAPI in dlpack.h of DLPack 1.3). torch has
// it, 2.11 among others. Our names; layout and meaning are DLPack's.

inline constexpr uint32_t kDlpackMajor = 1;
inline constexpr int32_t kDlpackCpu = 1, kDlpackCuda = 2, kDlpackCudaHost = 3;  // DLDeviceType

struct DlpackVersion {
  uint32_t major = 0, minor = 0;
};

/// DLManagedTensorVersioned: a tensor, and what ends it.
struct ManagedTensor {
  DlpackVersion version;
  void* manager = nullptr;
  void (*deleter)(ManagedTensor* self) = nullptr;  // needs no GIL
  uint64_t flags = 0;
  nanobind::dlpack::dltensor tensor;
};

struct EndManagedTensor {
  void operator()(ManagedTensor* tensor) const noexcept {
    if (tensor->deleter != nullptr) tensor->deleter(tensor);
  }
};
using ManagedTensorPtr = std::unique_ptr<ManagedTensor, EndManagedTensor>;

/// DLPackExchangeAPI, which lives as long as the process. Each function returns 0, or another number and leaves an
/// exception of Python's; all need the GIL, and none waits for a stream.
struct ExchangeApi {
  DlpackVersion version;
  const ExchangeApi* previous;  // of an older major version; null: there is none

  /// New memory of the dtype, shape and device of `prototype`. On failure it tells `set_error`, and leaves no
  /// exception.
  int (*allocate)(nanobind::dlpack::dltensor* prototype, ManagedTensor** made, void* context,
                  void (*set_error)(void* context, const char* kind, const char* message));
  int (*own)(void* object, ManagedTensor** made);
  /// The library's own tensor of `tensor`, which it takes over.
  int (*to_python)(ManagedTensor* tensor, void** object);
  /// The memory of `object`, an instance of the class that had this table. `seen` is good until control returns to the
  /// library. Null: the library lacks it.
  int (*look)(void* object, nanobind::dlpack::dltensor* seen);
  /// The stream that the library works on now, in this thread.
  int (*current_stream)(int32_t device_type, int32_t device, void** stream);
};

}  // namespace torchtrt_ws::python
