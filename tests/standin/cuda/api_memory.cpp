#include <cstring>
#include <memory>
#include <vector>

#include "call.h"
#include "standin_stream.h"

using standin::call;
using standin::give_back_call;
using standin::Kind;

namespace {

cudaError_t take(void** pointer, Kind kind, size_t size) {
  if (pointer == nullptr) return cudaErrorInvalidValue;
  *pointer = nullptr;
  if (cudaError_t error = standin::check_unsafe_call(); error != cudaSuccess) return error;
  if (size == 0) return cudaSuccess;
  *pointer = standin::allocate(kind, standin::current_device(), size);
  return *pointer == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

// Freeing waits for the device, as CUDA does.
cudaError_t give_back(void* pointer, Kind kind, const char* who) {
  if (pointer == nullptr) return cudaSuccess;
  if (cudaError_t error = standin::check_unsafe_call(); error != cudaSuccess) return error;
  const standin::Allocation* allocation = standin::find_allocation(pointer);
  standin::drain_device(allocation == nullptr ? standin::current_device() : allocation->device);
  return standin::release(pointer, kind, who) ? cudaSuccess : cudaErrorInvalidValue;
}

enum class Side { Device, Pinned, Pageable };

Side side_of(const void* pointer) {
  const standin::Allocation* allocation = standin::find_allocation(pointer);
  if (allocation != nullptr && allocation->kind == Kind::Pinned) return Side::Pinned;
  return standin::is_device_address(pointer) ? Side::Device : Side::Pageable;
}

bool agrees(cudaMemcpyKind kind, Side to, Side from) {
  bool to_device = to == Side::Device, from_device = from == Side::Device;
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !to_device && !from_device;
    case cudaMemcpyHostToDevice:
      return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
      return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
      return to_device && from_device;
    case cudaMemcpyDefault:
      return true;
  }
  return false;
}

void count_copy(Side to, Side from, size_t size) {
  bool to_device = to == Side::Device, from_device = from == Side::Device;
  const char* kind = to_device ? (from_device ? "d2d" : "h2d") : (from_device ? "d2h" : "h2h");
  standin::count_bytes(kind, static_cast<int64_t>(size));
  if (to == Side::Pageable || from == Side::Pageable) standin::count_bytes("pageable", static_cast<int64_t>(size));
}

cudaError_t copy(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t handle, const char* who) {
  if (size == 0) return cudaSuccess;
  Side to_side = side_of(to), from_side = side_of(from);
  if (!agrees(kind, to_side, from_side)) {
    standin::misuse(std::string(who) + ": the direction does not fit the pointers");
    return cudaErrorInvalidValue;
  }
  auto stream = standin::find_stream(handle, who);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  // Checked now as well as later: a bad pointer is best reported where it was passed.
  if (standin::host_view(to, size, who) == nullptr || standin::host_view(from, size, who) == nullptr) {
    return cudaErrorInvalidValue;
  }
  bool capturing = stream->capture != nullptr;
  std::shared_ptr<std::vector<std::byte>> snapshot;  // CUDA stages pageable sources before it returns
  if (from_side == Side::Pageable && !capturing) {
    auto bytes = static_cast<const std::byte*>(from);
    snapshot = std::make_shared<std::vector<std::byte>>(bytes, bytes + size);
  }
  std::string name = who;
  cudaError_t error = standin::enqueue(*stream, [=] {
    std::byte* target = standin::host_view(to, size, name.c_str());
    const std::byte* source = snapshot ? snapshot->data() : standin::host_view(from, size, name.c_str());
    if (target == nullptr || source == nullptr) return cudaErrorIllegalAddress;
    std::memmove(target, source, size);
    count_copy(to_side, from_side, size);
    return cudaSuccess;
  });
  // and waits for copies to pageable targets
  if (error == cudaSuccess && to_side == Side::Pageable && !capturing) {
    standin::drain(*stream);
    return standin::take_async_error(stream->device);
  }
  return error;
}

cudaError_t fill(void* to, int value, size_t size, cudaStream_t handle, const char* who) {
  if (size == 0) return cudaSuccess;
  auto stream = standin::find_stream(handle, who);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (side_of(to) == Side::Pageable || standin::host_view(to, size, who) == nullptr) return cudaErrorInvalidValue;
  std::string name = who;
  return standin::enqueue(*stream, [=] {
    std::byte* target = standin::host_view(to, size, name.c_str());
    if (target == nullptr) return cudaErrorIllegalAddress;
    std::memset(target, value, size);
    return cudaSuccess;
  });
}

}  // namespace

cudaError_t cudaMalloc(void** pointer, size_t size) {
  return call("cudaMalloc", [=] { return take(pointer, Kind::Device, size); }, cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void* pointer) {
  return give_back_call("cudaFree", [=] { return give_back(pointer, Kind::Device, "cudaFree"); });
}

cudaError_t cudaMallocHost(void** pointer, size_t size) {
  return call("cudaMallocHost", [=] { return take(pointer, Kind::Pinned, size); }, cudaErrorMemoryAllocation);
}

cudaError_t cudaHostAlloc(void** pointer, size_t size, unsigned int) {
  return call("cudaHostAlloc", [=] { return take(pointer, Kind::Pinned, size); }, cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void* pointer) {
  return give_back_call("cudaFreeHost", [=] { return give_back(pointer, Kind::Pinned, "cudaFreeHost"); });
}

cudaError_t cudaMallocAsync(void** pointer, size_t size, cudaStream_t handle) {
  return call(
      "cudaMallocAsync",
      [=] {
        auto stream = standin::find_stream(handle, "cudaMallocAsync");
        if (stream == nullptr) return cudaErrorInvalidResourceHandle;
        if (stream->capture != nullptr) return cudaErrorStreamCaptureUnsupported;  // no memory nodes here
        return take(pointer, Kind::Device, size);
      },
      cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t handle) {
  return give_back_call("cudaFreeAsync", [=] {
    auto stream = standin::find_stream(handle, "cudaFreeAsync");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (pointer == nullptr) return cudaSuccess;
    if (standin::find_allocation(pointer) == nullptr) {
      standin::misuse("cudaFreeAsync: memory that is freed or was never allocated");
      return cudaErrorInvalidValue;
    }
    return standin::enqueue(*stream, [=] {
      return standin::release(pointer, Kind::Device, "cudaFreeAsync") ? cudaSuccess : cudaErrorInvalidValue;
    });
  });
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return call("cudaMemGetInfo", [=] {
    int device = standin::current_device();
    if (free != nullptr) *free = static_cast<size_t>(standin::free_bytes(device));
    if (total != nullptr) *total = static_cast<size_t>(standin::total_bytes(device));
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return call("cudaPointerGetAttributes", [=] {
    const standin::Allocation* allocation = standin::find_allocation(pointer);
    *attributes = cudaPointerAttributes{};
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->device = -2;  // cudaInvalidDeviceId, as for any host memory
    if (allocation == nullptr) return cudaSuccess;
    attributes->type = allocation->kind == Kind::Pinned ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
    attributes->device = allocation->device;
    attributes->devicePointer = const_cast<void*>(pointer);
    attributes->hostPointer = allocation->kind == Kind::Pinned ? const_cast<void*>(pointer) : nullptr;
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
  return call("cudaMemcpyAsync", [=] { return copy(to, from, size, kind, stream, "cudaMemcpyAsync"); });
}

cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t size, cudaStream_t stream) {
  return call("cudaMemcpyPeerAsync",
              [=] { return copy(to, from, size, cudaMemcpyDeviceToDevice, stream, "cudaMemcpyPeerAsync"); });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
  return call("cudaMemcpy", [=] {
    cudaError_t error = copy(to, from, size, kind, nullptr, "cudaMemcpy");
    if (error != cudaSuccess) return error;
    int device = standin::current_device();
    standin::drain(*standin::find_stream(nullptr, "cudaMemcpy"));
    return standin::take_async_error(device);
  });
}

cudaError_t cudaMemset(void* to, int value, size_t size) {
  return call("cudaMemset", [=] { return fill(to, value, size, nullptr, "cudaMemset"); });
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t stream) {
  return call("cudaMemsetAsync", [=] { return fill(to, value, size, stream, "cudaMemsetAsync"); });
}
