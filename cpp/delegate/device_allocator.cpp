// ExecuTorch's allocator of CUDA memory, for programs whose delegate I/O is planned there (compile spec `target_device`
// = `cuda:N`). ExecuTorch asks for it before it initializes any delegate, so it is there from the start; what works
// with CUDA is in the TensorRT adapter, which comes when it is first asked.

#include <executorch/runtime/core/device_allocator.h>

#include <atomic>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "delegate/error.h"
#include "engine/device_memory.h"
#include "engine/engine_kind.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

using executorch::runtime::DeviceAllocator;
using executorch::runtime::Error;
using executorch::runtime::etensor::DeviceIndex;
using executorch::runtime::etensor::DeviceType;

std::atomic<DeviceMemory*> provided{nullptr};

/// Brings the adapter where nobody has yet.
Result<DeviceMemory*> device_memory() {
  if (DeviceMemory* memory = provided.load(std::memory_order_acquire)) return memory;
  auto kind = find_engine_kind("tensorrt");
  if (!kind.ok()) return std::move(kind).failure();
  if (DeviceMemory* memory = provided.load(std::memory_order_acquire)) return memory;
  return Failure{ErrorCode::NotSupported, "device memory", "an adapter for TensorRT that provides none",
                 "one of this library's version",
                 "Install the library and its adapters from one version of torchtrt-ws"};
}

/// Runs `use`, which takes the memory and returns a Status.
template <typename Use>
Error with_memory(Use&& use) noexcept {
  return guarded("device memory", [&]() -> Status {
    auto memory = device_memory();
    if (!memory.ok()) return std::move(memory).failure();
    return use(*memory.value());
  });
}

class CudaAllocator final : public DeviceAllocator {
 public:
  executorch::runtime::Result<void*> allocate(size_t nbytes, DeviceIndex index, size_t alignment) override {
    void* allocated = nullptr;
    const Error error = with_memory([&](DeviceMemory& memory) -> Status {
      auto result = memory.allocate(nbytes, index, alignment);
      if (!result.ok()) return std::move(result).failure();
      allocated = result.value();
      return ok_status();
    });
    if (error != Error::Ok) return error;
    return allocated;
  }

  void deallocate(void* pointer, DeviceIndex index) override {
    if (DeviceMemory* memory = provided.load(std::memory_order_acquire)) memory->deallocate(pointer, index);
  }

  Error copy_host_to_device(void* to, const void* from, size_t nbytes, DeviceIndex index) override {
    return with_memory([&](DeviceMemory& memory) { return memory.copy_to_device(to, from, nbytes, index); });
  }

  Error copy_device_to_host(void* to, const void* from, size_t nbytes, DeviceIndex index) override {
    return with_memory([&](DeviceMemory& memory) { return memory.copy_to_host(to, from, nbytes, index); });
  }

  DeviceType device_type() const override { return DeviceType::CUDA; }
};

/// ExecuTorch takes one allocator for each type of device and aborts at a second (runtime/core/device_allocator.h).
bool register_allocator() {
  const char* wish = std::getenv(kDeviceAllocatorVariable);
  if (wish != nullptr && std::string_view(wish) == "off") return false;
  if (executorch::runtime::get_device_allocator(DeviceType::CUDA) != nullptr) return false;
  static auto* allocator = new CudaAllocator;  // leaked: ExecuTorch keeps it until the process ends
  executorch::runtime::register_device_allocator(allocator);
  return true;
}

[[maybe_unused]] const bool registered = register_allocator();

}  // namespace

void provide_device_memory(DeviceMemory* memory) noexcept {
  DeviceMemory* none = nullptr;
  provided.compare_exchange_strong(none, memory, std::memory_order_acq_rel);
}

}  // namespace torchtrt_ws
