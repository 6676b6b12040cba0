#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

namespace torchtrt_ws {

/// Whether `size` bytes are an ExecuTorch program: a flatbuffer whose identifier, at byte 4, is the one that
/// ExecuTorch's schema/program.fbs names.
inline bool is_executorch_program(const uint8_t* data, uint64_t size) noexcept {
  return size >= 8 && std::memcmp(data + 4, "ET12", 4) == 0;
}

/// The engine's bytes as they lie in the program, and the right to give them back. Move-only.
///
/// With `Module::LoadMode::Mmap` the bytes are a read-only file mapping and `release()` unmaps them; with
/// `LoadMode::File` they are heap memory and `release()` frees them.
class Payload {
 public:
  Payload(const uint8_t* data, uint64_t size, std::function<void()> release)
      : data_(data), size_(size), release_(std::move(release)) {}
  Payload(Payload&& other) noexcept { *this = std::move(other); }
  Payload& operator=(Payload&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(release_, other.release_);
    return *this;
  }
  ~Payload() { release(); }

  const uint8_t* data() const { return data_; }  // null after release()
  uint64_t size() const { return size_; }        // bytes

  /// Gives the memory back. Later calls do nothing.
  void release() {
    data_ = nullptr;
    size_ = 0;
    if (auto release = std::exchange(release_, nullptr)) release();
  }

 private:
  const uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
  std::function<void()> release_;
};

}  // namespace torchtrt_ws
