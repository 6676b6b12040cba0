#pragma once

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "digest/scattered_crc32c.h"
#include "engine/stage.h"

namespace torchtrt_ws::tensorrt {

/// Feeds TensorRT a plan that lies in memory, through the interface that spares it a copy of the weights.
///
/// Several threads copy what is large (copy_mapped()): TensorRT asks for all weights in one call. When the plan is a
/// file mapping, the disk is asked for what comes later, and pages that were read are handed back at once, so that the
/// plan and the weights are not in memory together. Reading them again would take them from the file.
///
/// A checksum of the plan costs least where its bytes pass anyway.
class StreamReader final : public nvinfer1::IStreamReaderV2 {
 public:
  /// `plan` stays valid while the reader lives. Sizes are bytes. `checksum`: whether checksum() will be asked for.
  StreamReader(const uint8_t* plan, uint64_t size, bool checksum) noexcept;

  int64_t read(void* destination, int64_t bytes, cudaStream_t stream) noexcept override;
  bool seek(int64_t offset, nvinfer1::SeekPosition where) noexcept override;

  /// The CRC-32C of the whole plan; what TensorRT did not read is read now.
  uint32_t checksum() const { return crc32c_.of(plan_, size_); }

  /// The first error that CUDA gave a read, and the call that gave it: TensorRT is told only that the read failed, and
  /// then speaks of a plan that ends early. cudaSuccess and null when there was none.
  cudaError_t error() const noexcept { return error_; }
  const char* failed_call() const noexcept { return failed_call_; }

  /// From the first read to the end of the last; empty when there was none.
  const Interval& reads() const noexcept { return reads_; }

 private:
  void copy_to_host(char* destination, uint64_t bytes);
  bool copy_to_device(char* destination, uint64_t bytes, cudaStream_t stream);
  void note_checksum(uint64_t from, uint64_t to);
  void drop(uint64_t from, uint64_t to) const noexcept;
  bool succeeded(const char* call, cudaError_t error) noexcept;

  const uint8_t* const plan_;
  const uint64_t size_;
  uint64_t position_ = 0;
  const bool file_backed_;
  const bool wants_checksum_;
  ScatteredCrc32c crc32c_;  // of what was read
  cudaError_t error_ = cudaSuccess;
  const char* failed_call_ = nullptr;
  Interval reads_;
};

}  // namespace torchtrt_ws::tensorrt
