#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/tensorrt/crossing.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/place.h"

namespace torchtrt_ws::tensorrt {

/// One staged tensor of a call: the caller's memory, and its copy in the staging memory.
struct Staged {
  char* caller;
  size_t nbytes;
  size_t offset;  // of the copy
  bool is_input;
};

/// Device memory for tensors that cannot be bound where they are, with pinned memory beside it for those on the host.
///
/// Everything a call stages lies together, inputs on the host first, then outputs on the host, then what is on the
/// device: so that small tensors cross the bus in one copy each way, however many they are. Large ones cross in pieces,
/// so that copying on the host and crossing overlap; where all outputs are large, they need no pinned memory
/// (kLeastDirect).
/// Memory grows to the largest call and is kept.
///
/// A run is upload(), the engine's work, download_device() and download_host(). Where crossings() are part of the
/// engine's work it is fill(), that work, download_device() and take_arrived().
class Staging {
 public:
  Staging();

  /// Events belong to the device that is current. Fails with EngineFault or DoesNotFit.
  Status create(const std::string& subject);

  /// Begins a call. Then add() each host input, each host output, and each device tensor, in that order.
  void begin() noexcept;
  size_t add(Place place, bool is_input, void* caller, size_t nbytes);  // returns its index

  /// Whether reserve() would replace memory that work in flight may use.
  bool must_grow() const noexcept { return !device_.holds(size_) || !pinned_.holds(host_size_); }
  /// Fails with DoesNotFit.
  Status reserve(const std::string& subject);

  /// Gives the memory back; the next reserve() takes it again. Nothing is in flight.
  void release() noexcept;

  /// Where TensorRT finds or leaves tensor `index`; valid after reserve().
  char* address(size_t index) const noexcept { return device_.data() + staged_[index].offset; }

  /// The copies of all tensors on the host, where one each way does; else none. Valid after reserve(), until the memory
  /// or the sizes are other ones.
  Crossings crossings() const noexcept;

  /// Enqueues the copies to the device; the caller's host memory has been read when it returns.
  cudaError_t upload(cudaStream_t stream);

  /// The same, but that it leaves the crossing of host memory to crossings().in.
  cudaError_t fill(cudaStream_t stream);

  /// Enqueues the copies back to the caller's device memory.
  cudaError_t download_device(cudaStream_t stream);

  /// Copies outputs to the caller's host memory; waits for `stream` to get that far.
  cudaError_t download_host(cudaStream_t stream);

  /// The same where crossings().out is among the work of `stream`.
  cudaError_t take_arrived(cudaStream_t stream);

  int64_t device_bytes() const noexcept { return static_cast<int64_t>(device_.size()); }

 private:
  static constexpr size_t kPiece = size_t{1} << 20;  // bytes: 20 us of a PCIe 5 bus, and more of a host copy
  static constexpr size_t kPieces = 16;              // at most, of one download

  bool crosses_at_once() const noexcept {
    return host_inputs_end_ <= kPiece && host_size_ - host_inputs_end_ <= kPiece;
  }
  bool comes_directly() const noexcept;
  cudaError_t download_directly(cudaStream_t stream);
  cudaError_t upload_device(cudaStream_t stream);
  cudaError_t upload_host(cudaStream_t stream);
  cudaError_t send(size_t from, size_t to, cudaStream_t stream);
  void copy_in(const Staged& input, size_t from, size_t nbytes);
  void copy_out(size_t from, size_t to);

  std::vector<Staged> staged_;  // keeps its capacity: a call in steady state allocates nothing
  size_t size_ = 0;             // bytes of the call, all of it
  size_t host_size_ = 0;        // of these, tensors on the host; pinned_ mirrors them
  size_t host_inputs_end_ = 0;  // of these, inputs
  Buffer device_;
  Buffer pinned_;
  std::array<Event, kPieces> arrived_;
};

}  // namespace torchtrt_ws::tensorrt
