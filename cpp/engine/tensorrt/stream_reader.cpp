#include "engine/tensorrt/stream_reader.h"

#include <algorithm>
#include <optional>

#include "base/copy_mapped.h"
#include "base/file_mapping.h"
#include "base/read_ahead.h"
#include "engine/tensorrt/cuda.h"

namespace torchtrt_ws::tensorrt {
namespace {

constexpr uint64_t kPiece = uint64_t{2} << 20;  // bytes copied to a device between two hand-backs

}  // namespace

StreamReader::StreamReader(const uint8_t* plan, uint64_t size, bool checksum) noexcept
    : plan_(plan), size_(size), file_backed_(is_file_mapping(plan, size)), wants_checksum_(checksum) {}

int64_t StreamReader::read(void* destination, int64_t bytes, cudaStream_t stream) noexcept {
  if (destination == nullptr || bytes < 0) return -1;
  const uint64_t wanted = std::min(static_cast<uint64_t>(bytes), size_ - position_);
  if (wanted == 0) return 0;
  cudaPointerAttributes attributes{};  // host memory that CUDA does not know is no error
  if (!succeeded("cudaPointerGetAttributes", cudaPointerGetAttributes(&attributes, destination))) return -1;
  auto* to = static_cast<char*>(destination);
  if (reads_.end == 0) reads_.start = executorch::runtime::pal_current_ticks();
  if (attributes.type == cudaMemoryTypeDevice) {
    if (!copy_to_device(to, wanted, stream)) return -1;
  } else {
    copy_to_host(to, wanted);
  }
  position_ += wanted;
  reads_.end = executorch::runtime::pal_current_ticks();
  return static_cast<int64_t>(wanted);
}

void StreamReader::copy_to_host(char* destination, uint64_t bytes) {
  copy_mapped(plan_, position_, position_ + bytes, destination, file_backed_,
              [this](uint64_t from, uint64_t to) { note_checksum(from, to); });
}

bool StreamReader::copy_to_device(char* destination, uint64_t bytes, cudaStream_t stream) {
  std::optional<ReadAhead> ahead;
  if (file_backed_) ahead.emplace(plan_, position_, position_ + bytes);
  for (uint64_t from = 0; from < bytes; from += kPiece) {
    const uint64_t to = std::min(bytes, from + kPiece);
    if (ahead) ahead->before(position_ + from, position_ + to);
    // From pageable memory this returns once CUDA has taken the bytes, so the pages may go (CUDA's "API synchronization
    // behavior").
    const cudaError_t copied =
        cudaMemcpyAsync(destination + from, plan_ + position_ + from, to - from, cudaMemcpyHostToDevice, stream);
    if (!succeeded("cudaMemcpyAsync", copied)) return false;
    note_checksum(position_ + from, position_ + to);
    drop(position_ + from, position_ + to);
  }
  return true;
}

void StreamReader::note_checksum(uint64_t from, uint64_t to) {
  if (!wants_checksum_ || from == to) return;
  Crc32c crc;
  crc.update(plan_ + from, to - from);
  crc32c_.add(from, to, crc);
}

void StreamReader::drop(uint64_t from, uint64_t to) const noexcept {
  if (file_backed_) drop_pages(plan_, from, to);
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
