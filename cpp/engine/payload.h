#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

namespace torchtrt_ws {

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
