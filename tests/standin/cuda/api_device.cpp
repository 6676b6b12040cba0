#include <cstring>
#include <utility>

#include "call.h"
#include "standin_stream.h"

using standin::call;

namespace standin {

cudaError_t& last_error() {
  thread_local cudaError_t error = cudaSuccess;
  return error;
}

}  // namespace standin

namespace {

bool is_device(int device) { return device >= 0 && device < standin::setting("devices"); }

int attribute(cudaDeviceAttr attribute) {
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      return static_cast<int>(standin::setting("compute") / 10);
    case cudaDevAttrComputeCapabilityMinor:
      return static_cast<int>(standin::setting("compute") % 10);
    case cudaDevAttrPageableMemoryAccess:
      return static_cast<int>(standin::setting("pageable_access"));
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrCanMapHostMemory:
      return 1;
    case cudaDevAttrMemoryPoolsSupported:
      return 1;
    case cudaDevAttrWarpSize:
      return 32;
    default:
      return 0;
  }
}

struct ErrorText {
  cudaError_t error;
  const char* name;
  const char* text;
};

constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
};

const ErrorText& describe(cudaError_t error) {
  static constexpr ErrorText kOther = {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"};
  for (const ErrorText& known : kErrors) {
    if (known.error == error) return known;
  }
  return kOther;
}

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
  return call("cudaGetDeviceCount", [=] {
    *count = static_cast<int>(standin::setting("devices"));
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return call("cudaGetDevice", [=] {
    *device = standin::current_device();
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return call("cudaSetDevice", [=] {
    if (!is_device(device)) return cudaErrorInvalidDevice;
    standin::set_current_device(device);
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attr, int device) {
  return call("cudaDeviceGetAttribute", [=] {
    if (!is_device(device)) return cudaErrorInvalidDevice;
    *value = attribute(attr);
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* prop, int device) {
  return call("cudaGetDeviceProperties", [=] {
    if (!is_device(device)) return cudaErrorInvalidDevice;
    *prop = cudaDeviceProp{};
    std::strncpy(prop->name, "Stand-in GPU", sizeof(prop->name) - 1);
    prop->major = attribute(cudaDevAttrComputeCapabilityMajor);
    prop->minor = attribute(cudaDevAttrComputeCapabilityMinor);
    prop->totalGlobalMem = static_cast<size_t>(standin::total_bytes(device));
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call("cudaDeviceSynchronize", [] {
    int device = standin::current_device();
    if (standin::invalidate_captures(device)) return cudaErrorStreamCaptureUnsupported;
    standin::drain_device(device);
    standin::give_back_released(device);
    return standin::take_async_error(device);
  });
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  return call("cudaDeviceCanAccessPeer", [=] {
    *can = 0;
    return cudaSuccess;
  });
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return call("cudaRuntimeGetVersion", [=] {
    *version = CUDART_VERSION;
    return cudaSuccess;
  });
}

// 0 without a driver, and no error: so does the real one.
cudaError_t cudaDriverGetVersion(int* version) {
  auto guard = standin::lock();
  if (auto injected = standin::enter("cudaDriverGetVersion")) return standin::keep(cudaErrorUnknown);
  *version = standin::driver_error() == cudaSuccess ? CUDART_VERSION : 0;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  auto guard = standin::lock();
  standin::enter("cudaGetLastError", false);
  return std::exchange(standin::last_error(), cudaSuccess);
}

cudaError_t cudaPeekAtLastError() {
  auto guard = standin::lock();
  standin::enter("cudaPeekAtLastError", false);
  return standin::last_error();
}

const char* cudaGetErrorName(cudaError_t error) { return describe(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return describe(error).text; }
