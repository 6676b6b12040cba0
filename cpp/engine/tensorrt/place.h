#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace torchtrt_ws::tensorrt {

/// TensorRT wants this of every tensor address (NvInferRuntime.h: IExecutionContext::setTensorAddress); ExecuTorch
/// plans 16 bytes.
inline constexpr size_t kAddressAlignment = 256;

/// How a caller's tensor reaches the engine.
enum class Place {
  Bound,         ///< Device or managed memory, aligned: TensorRT works on it.
  DeviceStaged,  ///< Device memory that is not aligned: copied on the device.
  HostBound,     ///< Host memory that this device reads itself, aligned.
  HostStaged,    ///< Host memory: copied through pinned memory.
};

inline bool is_staged(Place place) { return place == Place::DeviceStaged || place == Place::HostStaged; }
inline bool is_on_host(Place place) { return place == Place::HostBound || place == Place::HostStaged; }

/// Decides it for one engine's device.
class Placer {
 public:
  /// Asks the device whether it reads pageable host memory (cudaDevAttrPageableMemoryAccess; being integrated is not
  /// enough). Fails with EngineFault.
  static Result<Placer> of(const std::string& subject, int device);

  /// `pointer` is not null. Asks CUDA at each call, on purpose: an address that was device memory a call ago may be
  /// host memory or another GPU's by now, and using it as what it was would end the process.
  /// Fails with BadArgument for memory of another device (`tensor` names it), EngineFault when CUDA does not answer.
  Result<Place> operator()(const std::string& tensor, const void* pointer) const;

 private:
  Placer(int device, bool reads_host_memory) : device_(device), reads_host_memory_(reads_host_memory) {}

  int device_;
  bool reads_host_memory_;
};

}  // namespace torchtrt_ws::tensorrt
