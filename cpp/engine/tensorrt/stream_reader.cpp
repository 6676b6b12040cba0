#include "engine/tensorrt/stream_reader.h"

#include <algorithm>
#include <cstring>

#include "base/file_mapping.h"
#include "engine/tensorrt/cuda.h"

namespace torchtrt_ws::tensorrt {
namespace {

constexpr uint64_t kPiece = uint64_t{8} << 20;  // bytes copied between two hand-backs: small beside any peak we report

}  // namespace

StreamReader::StreamReader(const uint8_t* plan, uint64_t size) noexcept
    : plan_(plan), size_(size), file_backed_(is_file_mapping(plan, size)) {}

int64_t StreamReader::read(void* destination, int64_t bytes, cudaStream_t stream) noexcept {
  if (destination == nullptr || bytes < 0) return -1;
  const uint64_t wanted = std::min(static_cast<uint64_t>(bytes), size_ - position_);
  if (wanted == 0) return 0;
  cudaPointerAttributes attributes{};  // host memory that CUDA does not know is no error
  if (!succeeded("cudaPointerGetAttributes", cudaPointerGetAttributes(&attributes, destination))) return -1;
  const bool to_device = attributes.type == cudaMemoryTypeDevice;
  auto* to = static_cast<char*>(destination);
  if (reads_.end == 0) reads_.start = executorch::runtime::pal_current_ticks();
  for (uint64_t done = 0; done < wanted;) {
    const uint64_t piece = std::min(kPiece, wanted - done);
    if (!copy(to + done, piece, to_device, stream)) return -1;
    done += piece;
  }
  reads_.end = executorch::runtime::pal_current_ticks();
  return static_cast<int64_t>(wanted);
}

bool StreamReader::copy(char* destination, uint64_t bytes, bool to_device, cudaStream_t stream) noexcept {
  const uint8_t* source = plan_ + position_;
  if (to_device) {
    // From pageable memory this returns once CUDA has taken the bytes, so the pages may go (CUDA's "API synchronization
    // behavior").
    const cudaError_t copied = cudaMemcpyAsync(destination, source, bytes, cudaMemcpyHostToDevice, stream);
    if (!succeeded("cudaMemcpyAsync", copied)) return false;
  } else {
    std::memcpy(destination, source, bytes);
  }
  if (file_backed_) drop_pages(plan_, position_, position_ + bytes);
  position_ += bytes;
  return true;
}

bool StreamReader::succeeded(const char* call, cudaError_t error) noexcept {
  ignore(error);
  if (error_ == cudaSuccess && error != cudaSuccess) {
    error_ = error;
    failed_call_ = call;
  }
  return error == cudaSuccess;
}

bool StreamReader::seek(int64_t offset, nvinfer1::SeekPosition where) noexcept {
  const uint64_t base = where == nvinfer1::SeekPosition::kSET   ? 0
                        : where == nvinfer1::SeekPosition::kCUR ? position_
                                                                : size_;
  // In unsigned arithmetic: the offset comes from a file.
  const uint64_t distance = offset < 0 ? uint64_t{0} - static_cast<uint64_t>(offset) : static_cast<uint64_t>(offset);
  if (offset < 0 ? distance > base : distance > size_ - base) return false;
  position_ = offset < 0 ? base - distance : base + distance;
  return true;
}

}  // namespace torchtrt_ws::tensorrt
