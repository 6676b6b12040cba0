#include "engine/tensorrt/shape_values.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "base/quote.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/place.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {

HostMemory::HostMemory(size_t bytes) {
  const size_t rounded = (std::max<size_t>(bytes, 1) + kAddressAlignment - 1) / kAddressAlignment * kAddressAlignment;
  data_.reset(std::aligned_alloc(kAddressAlignment, rounded));
  if (data_ == nullptr) throw std::bad_alloc();
  std::memset(data_.get(), 0, rounded);
}

int64_t shape_value(const void* data, size_t element_bytes, size_t index) noexcept {
  const char* at = static_cast<const char*>(data) + index * element_bytes;
  int64_t wide = 0;
  int32_t narrow = 0;
  if (element_bytes == sizeof(wide)) {
    std::memcpy(&wide, at, sizeof(wide));
    return wide;
  }
  std::memcpy(&narrow, at, sizeof(narrow));
  return narrow;
}

void put_shape_value(void* data, size_t element_bytes, size_t index, int64_t value) noexcept {
  char* at = static_cast<char*>(data) + index * element_bytes;
  const auto narrow = static_cast<int32_t>(value);
  if (element_bytes == sizeof(value)) {
    std::memcpy(at, &value, sizeof(value));
  } else {
    std::memcpy(at, &narrow, sizeof(narrow));
  }
}

ShapeValues::ShapeValues(std::string subject, const Io& io) : subject_(std::move(subject)), io_(io) {
  for (const size_t input : io.shape_inputs) {
    const auto count = static_cast<size_t>(volume(io.inputs[input].shape).value_or(0));
    const size_t bytes = io.inputs[input].element_bytes * count;
    slots_.push_back({input, count, HostMemory(bytes), HostMemory(bytes), std::vector<int32_t>(count)});
  }
}

Status ShapeValues::read(const std::vector<TensorView>& inputs, cudaStream_t stream) {
  for (Slot& slot : slots_) {
    const IoTensor& tensor = io_.inputs[slot.input];
    const void* from = inputs[slot.input].data;
    const size_t bytes = bytes_of(slot);
    if (from == nullptr || inputs[slot.input].nbytes != bytes) {
      return Failure{ErrorCode::BadArgument, "input " + in_quotes(tensor.name),
                     std::to_string(from == nullptr ? 0 : inputs[slot.input].nbytes) + " bytes",
                     std::to_string(bytes) + " bytes", "Set the tensor's data before the call"};
    }
    cudaPointerAttributes attributes{};  // host memory that CUDA does not know is no error
    Status step = check_cuda(subject_, "cudaPointerGetAttributes", cudaPointerGetAttributes(&attributes, from));
    if (!step.ok()) return step;
    const bool on_host = attributes.type == cudaMemoryTypeUnregistered || attributes.type == cudaMemoryTypeHost;
    if (on_host) {
      std::memcpy(slot.read.data(), from, bytes);
    } else {
      step = check_cuda(subject_, "cudaMemcpyAsync",
                        cudaMemcpyAsync(slot.read.data(), from, bytes, cudaMemcpyDefault, stream));
      if (step.ok()) step = check_cuda(subject_, "cudaStreamSynchronize", cudaStreamSynchronize(stream));
      if (!step.ok()) return step;
    }
    for (size_t i = 0; i < slot.count; ++i) {
      const int64_t value = shape_value(slot.read.data(), tensor.element_bytes, i);
      constexpr int64_t kLeast = std::numeric_limits<int32_t>::min();
      constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
      slot.values[i] = static_cast<int32_t>(std::clamp(value, kLeast, kMost));
    }
  }
  return ok_status();
}

size_t ShapeValues::bytes_of(const Slot& slot) const noexcept {
  return io_.inputs[slot.input].element_bytes * slot.count;
}

bool ShapeValues::differs(const Slot& slot) const noexcept {
  return std::memcmp(slot.own.data(), slot.read.data(), bytes_of(slot)) != 0;
}

bool ShapeValues::would_change() const noexcept {
  return std::any_of(slots_.begin(), slots_.end(), [this](const Slot& slot) { return !slot.told || differs(slot); });
}

bool ShapeValues::overwrites() const noexcept {
  return std::any_of(slots_.begin(), slots_.end(), [this](const Slot& slot) { return differs(slot); });
}

Status ShapeValues::tell(nvinfer1::IExecutionContext& context) {
  const ErrorScope errors;
  for (Slot& slot : slots_) {
    const IoTensor& tensor = io_.inputs[slot.input];
    if (differs(slot)) std::memcpy(slot.own.data(), slot.read.data(), bytes_of(slot));
    // Also where it has the address: TensorRT-RTX 1.6.1 answers with the shapes of new values and runs with the old
    // ones until it is told again (seen on an H200, with bare TensorRT-RTX too).
    if (!context.setTensorAddress(tensor.name.c_str(), slot.own.data())) {
      return refused_call(subject_, "setTensorAddress", tensor.name, errors.words());
    }
    slot.told = true;
  }
  return ok_status();
}

void ShapeValues::forget() noexcept {
  for (Slot& slot : slots_) slot.told = false;
}

void ShapeValues::append_to(std::vector<Shape>& shapes) const {
  for (const Slot& slot : slots_) shapes.push_back({slot.values.data(), slot.count});
}

}  // namespace torchtrt_ws::tensorrt
