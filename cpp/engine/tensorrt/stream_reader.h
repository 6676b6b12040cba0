#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>

#include "blob/verification.h"

namespace torchtrt_ws::tensorrt {

/// Feeds TensorRT a plan that lies in memory, through the interface that spares it a copy of the weights.
///
/// When the plan is a file mapping, pages that were read are handed back at once, so that the plan and the weights are
/// not in memory together. Reading them again would take them from the file.
class StreamReader final : public nvinfer1::IStreamReaderV2 {
 public:
  /// `plan` stays valid while the reader lives, and so does `verification`, which sees the bytes as they are read.
  /// Sizes are bytes.
  StreamReader(const uint8_t* plan, uint64_t size, Verification& verification) noexcept;

  int64_t read(void* destination, int64_t bytes, cudaStream_t stream) noexcept override;
  bool seek(int64_t offset, nvinfer1::SeekPosition where) noexcept override;

 private:
  bool copy(char* destination, uint64_t bytes, bool to_device, cudaStream_t stream) noexcept;
  void hand_back(uint64_t from, uint64_t to) noexcept;

  const uint8_t* const plan_;
  const uint64_t size_;
  Verification& verification_;
  uint64_t position_ = 0;
  bool file_backed_;
};

}  // namespace torchtrt_ws::tensorrt
