#pragma once

#include <cuda_runtime_api.h>

namespace torchtrt_ws::tensorrt {

/// Whether work on `stream` is being recorded into a CUDA graph instead of done. False for the default streams that
/// cannot be captured, and where CUDA does not answer: the next call there has the reason.
bool is_capturing(cudaStream_t stream) noexcept;

/// Lets this thread wait for work that is no part of a capture while one goes on, as long as it lives
/// (cudaThreadExchangeStreamCaptureMode): the capture is not invalidated by that.
class BesideCapture {
 public:
  BesideCapture() noexcept { exchange(); }
  ~BesideCapture() { exchange(); }
  BesideCapture(const BesideCapture&) = delete;
  BesideCapture& operator=(const BesideCapture&) = delete;

 private:
  void exchange() noexcept;

  cudaStreamCaptureMode other_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace torchtrt_ws::tensorrt
