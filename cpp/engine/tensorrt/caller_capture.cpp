#include "engine/tensorrt/caller_capture.h"

#include "engine/tensorrt/cuda.h"

namespace torchtrt_ws::tensorrt {

bool is_capturing(cudaStream_t stream) noexcept {
  if (stream == nullptr || stream == cudaStreamLegacy) return false;
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  const cudaError_t error = cudaStreamIsCapturing(stream, &status);
  ignore(error);
  return error == cudaSuccess && status != cudaStreamCaptureStatusNone;
}

void BesideCapture::exchange() noexcept { ignore(cudaThreadExchangeStreamCaptureMode(&other_)); }

}  // namespace torchtrt_ws::tensorrt
