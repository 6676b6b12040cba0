#include "engine/tensorrt/staging.h"

#include <algorithm>
#include <cstring>

namespace torchtrt_ws::tensorrt {

Staging::Staging() : device_(Buffer::Kind::Device), pinned_(Buffer::Kind::Pinned) {}

Status Staging::create(const std::string& subject) {
  for (Event& event : arrived_) {
    Status made =
        check_cuda(subject, "cudaEventCreateWithFlags", cudaEventCreateWithFlags(event.out(), cudaEventDisableTiming));
    if (!made.ok()) return made;
  }
  return ok_status();
}

void Staging::begin() noexcept {
  staged_.clear();
  size_ = host_size_ = host_inputs_end_ = 0;
}

size_t Staging::add(Place place, bool is_input, void* caller, size_t nbytes) {
  staged_.push_back({static_cast<char*>(caller), nbytes, size_, is_input});
  size_ += (nbytes + kAddressAlignment - 1) / kAddressAlignment * kAddressAlignment;
  if (place == Place::HostStaged) {
    host_size_ = size_;
    if (is_input) host_inputs_end_ = size_;
  }
  return staged_.size() - 1;
}

Status Staging::reserve(const std::string& subject) {
  Status device = device_.reserve(subject, size_);
  return device.ok() ? pinned_.reserve(subject, host_size_) : device;
}

void Staging::release() noexcept {
  device_.free();
  pinned_.free();
}

cudaError_t Staging::send(size_t from, size_t to, cudaStream_t stream) {
  return cudaMemcpyAsync(device_.data() + from, pinned_.data() + from, to - from, cudaMemcpyHostToDevice, stream);
}

Crossings Staging::crossings() const noexcept {
  if (!crosses_at_once()) return {};
  char* const device = device_.data();
  char* const pinned = pinned_.data();
  const size_t out = host_inputs_end_;
  return {{device, pinned, host_inputs_end_}, {pinned + out, device + out, host_size_ - out}};
}

bool Staging::comes_directly() const noexcept {
  const auto is_small = [this](const Staged& each) {
    return !each.is_input && each.offset < host_size_ && each.nbytes < kLeastDirect;
  };
  return std::none_of(staged_.begin(), staged_.end(), is_small);
}

cudaError_t Staging::upload(cudaStream_t stream) {
  const cudaError_t error = upload_device(stream);
  return error == cudaSuccess ? upload_host(stream) : error;
}

cudaError_t Staging::fill(cudaStream_t stream) {
  for (const Staged& input : staged_) {
    if (input.is_input && input.offset < host_size_) copy_in(input, 0, input.nbytes);
  }
  return upload_device(stream);
}

cudaError_t Staging::upload_device(cudaStream_t stream) {
  for (const Staged& input : staged_) {
    if (!input.is_input || input.offset < host_size_) continue;
    const cudaError_t error =
        cudaMemcpyAsync(device_.data() + input.offset, input.caller, input.nbytes, cudaMemcpyDeviceToDevice, stream);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

cudaError_t Staging::upload_host(cudaStream_t stream) {
  size_t sent = 0;
  for (const Staged& input : staged_) {
    if (!input.is_input || input.offset >= host_size_) continue;
    for (size_t done = 0; done < input.nbytes;) {
      const size_t piece = std::min(kPiece, input.nbytes - done);
      copy_in(input, done, piece);
      done += piece;
      const size_t filled = input.offset + done;
      if (filled - sent < kPiece) continue;
      const cudaError_t error = send(sent, filled, stream);
      if (error != cudaSuccess) return error;
      sent = filled;
    }
  }
  return sent < host_inputs_end_ ? send(sent, host_inputs_end_, stream) : cudaSuccess;
}

void Staging::copy_in(const Staged& input, size_t from, size_t nbytes) {
  std::memcpy(pinned_.data() + input.offset + from, input.caller + from, nbytes);
}

cudaError_t Staging::download_device(cudaStream_t stream) {
  for (const Staged& output : staged_) {
    if (output.is_input || output.offset < host_size_) continue;
    const cudaError_t error =
        cudaMemcpyAsync(output.caller, device_.data() + output.offset, output.nbytes, cudaMemcpyDeviceToDevice, stream);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

cudaError_t Staging::download_directly(cudaStream_t stream) {
  for (const Staged& output : staged_) {
    if (output.is_input || output.offset >= host_size_) continue;
    const cudaError_t error =
        cudaMemcpyAsync(output.caller, device_.data() + output.offset, output.nbytes, cudaMemcpyDeviceToHost, stream);
    if (error != cudaSuccess) return error;
  }
  return cudaStreamSynchronize(stream);
}

cudaError_t Staging::download_host(cudaStream_t stream) {
  const size_t total = host_size_ - host_inputs_end_;
  if (total == 0) return cudaStreamSynchronize(stream);
  if (comes_directly()) return download_directly(stream);
  const size_t piece = std::max(kPiece, (total + kPieces - 1) / kPieces);
  size_t pieces = 0;
  for (size_t from = host_inputs_end_; from < host_size_; from += piece) {
    const size_t size = std::min(piece, host_size_ - from);
    cudaError_t error =
        cudaMemcpyAsync(pinned_.data() + from, device_.data() + from, size, cudaMemcpyDeviceToHost, stream);
    if (error == cudaSuccess && total > piece) error = cudaEventRecord(arrived_[pieces].get(), stream);
    if (error != cudaSuccess) return error;
    ++pieces;
  }
  if (pieces == 1) return take_arrived(stream);
  for (size_t i = 0; i < pieces; ++i) {
    const cudaError_t error = cudaEventSynchronize(arrived_[i].get());
    if (error != cudaSuccess) return error;
    const size_t from = host_inputs_end_ + i * piece;
    copy_out(from, std::min(from + piece, host_size_));
  }
  return cudaStreamSynchronize(stream);
}

cudaError_t Staging::take_arrived(cudaStream_t stream) {
  const cudaError_t error = cudaStreamSynchronize(stream);
  if (error == cudaSuccess) copy_out(host_inputs_end_, host_size_);
  return error;
}

void Staging::copy_out(size_t from, size_t to) {
  for (const Staged& output : staged_) {
    if (output.is_input || output.offset >= host_size_) continue;
    const size_t start = std::max(from, output.offset);
    const size_t end = std::min(to, output.offset + output.nbytes);
    if (start < end) std::memcpy(output.caller + (start - output.offset), pinned_.data() + start, end - start);
  }
}

}  // namespace torchtrt_ws::tensorrt
