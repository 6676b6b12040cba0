#include "engine/tensorrt/stream_reader.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "engine/tensorrt/cuda.h"

namespace torchtrt_ws::tensorrt {
namespace {

constexpr uint64_t kPiece = uint64_t{8} << 20;  // bytes copied between two hand-backs: small beside any peak we report

struct Mapping {
  uint64_t start;
  uint64_t end;
  bool dropping_loses_nothing;
};

/// One line of /proc/self/maps: "start-end perms offset device inode path".
bool parse(const char* line, Mapping& mapping) {
  char permissions[5] = {};
  uint64_t inode = 0;
  const int fields = std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64, &mapping.start, &mapping.end,
                                 permissions, &inode);
  mapping.dropping_loses_nothing = inode != 0 && permissions[0] == 'r' && permissions[1] == '-';
  return fields == 4;
}

/// nullopt when CUDA does not answer; host memory that it does not know is no error.
std::optional<bool> is_device_memory(const void* pointer) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, pointer) != cudaSuccess) {
    (void)cudaGetLastError();
    return std::nullopt;
  }
  return attributes.type == cudaMemoryTypeDevice;
}

}  // namespace

bool is_file_mapping(const void* data, uint64_t size) noexcept {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> maps(std::fopen("/proc/self/maps", "re"), &std::fclose);
  if (maps == nullptr || size == 0) return false;
  uint64_t covered = reinterpret_cast<uintptr_t>(data);
  const uint64_t end = covered + size;
  char line[4096 + 128];  // a path is at most PATH_MAX
  while (covered < end && std::fgets(line, sizeof(line), maps.get()) != nullptr) {
    Mapping mapping{};
    if (!parse(line, mapping) || mapping.end <= covered) continue;  // lines are in the order of addresses
    if (mapping.start > covered || !mapping.dropping_loses_nothing) return false;
    covered = mapping.end;
  }
  return covered >= end;
}

StreamReader::StreamReader(const uint8_t* plan, uint64_t size) noexcept
    : plan_(plan), size_(size), file_backed_(is_file_mapping(plan, size)) {}

int64_t StreamReader::read(void* destination, int64_t bytes, cudaStream_t stream) noexcept {
  if (destination == nullptr || bytes < 0) return -1;
  const uint64_t wanted = std::min(static_cast<uint64_t>(bytes), size_ - position_);
  if (wanted == 0) return 0;
  const std::optional<bool> to_device = is_device_memory(destination);
  if (!to_device) return -1;
  auto* to = static_cast<char*>(destination);
  for (uint64_t done = 0; done < wanted;) {
    const uint64_t piece = std::min(kPiece, wanted - done);
    if (!copy(to + done, piece, *to_device, stream)) return -1;
    done += piece;
  }
  return static_cast<int64_t>(wanted);
}

bool StreamReader::copy(char* destination, uint64_t bytes, bool to_device, cudaStream_t stream) noexcept {
  const uint8_t* source = plan_ + position_;
  if (to_device) {
    // From pageable memory this returns once CUDA has taken the bytes, so the pages may go (CUDA's "API synchronization
    // behavior").
    if (cudaMemcpyAsync(destination, source, bytes, cudaMemcpyHostToDevice, stream) != cudaSuccess) return false;
  } else {
    std::memcpy(destination, source, bytes);
  }
  hand_back(position_, position_ + bytes);
  position_ += bytes;
  return true;
}

void StreamReader::hand_back(uint64_t from, uint64_t to) noexcept {
  if (!file_backed_) return;
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = reinterpret_cast<uintptr_t>(plan_) + from;
  // A page that straddles two pieces goes with the second: start where the piece before stopped short. The plan's own
  // first and last page are shared with other data of the file and stay.
  const uintptr_t plan_start = (reinterpret_cast<uintptr_t>(plan_) + page - 1) / page * page;
  const uintptr_t start = std::max(plan_start, first / page * page);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(plan_) + to) / page * page;
  if (start < end) (void)madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
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
