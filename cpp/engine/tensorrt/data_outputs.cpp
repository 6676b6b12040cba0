#include "engine/tensorrt/data_outputs.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/quote.h"
#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/place.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {

using executorch::aten::SizesType;
using nvinfer1::Dims;

/// One such output: what TensorRT writes into, and what it said of the shape.
class DataOutputs::Slot final : public nvinfer1::IOutputAllocator {
 public:
  Slot(const std::string& subject, size_t output) : index(output), subject_(subject), memory_(Buffer::Kind::Device) {}

  void* reallocateOutputAsync(char const*, void*, uint64_t size, uint64_t alignment, cudaStream_t) noexcept override {
    if (alignment > kAddressAlignment) return nullptr;  // more than cudaMalloc gives; TensorRT asks for 256
    Status reserved = memory_.reserve(subject_, size);
    if (!reserved.ok()) refused = std::move(reserved).failure();
    return refused ? nullptr : memory_.data();
  }

  void notifyShape(char const*, Dims const& told) noexcept override { shape = told; }

  void begin() noexcept {
    shape.nbDims = -1;
    refused.reset();
  }

  const Buffer& memory() const noexcept { return memory_; }
  void release() noexcept { memory_.free(); }

  const size_t index;  // of the output
  Dims shape{-1, {}};  // rank -1: not told
  std::optional<Failure> refused;

 private:
  const std::string& subject_;
  Buffer memory_;
};

DataOutputs::DataOutputs(std::string subject, const Io& io) : subject_(std::move(subject)), io_(io) {}

DataOutputs::~DataOutputs() = default;

bool DataOutputs::any() const noexcept {
  return std::any_of(io_.outputs.begin(), io_.outputs.end(), [](const IoTensor& each) { return each.data_dependent; });
}

Status DataOutputs::begin(nvinfer1::IExecutionContext& context) {
  if (slots_.empty()) {
    for (size_t i = 0; i < io_.outputs.size(); ++i) {
      if (io_.outputs[i].data_dependent) slots_.push_back(std::make_unique<Slot>(subject_, i));
    }
  }
  for (const auto& slot : slots_) slot->begin();
  if (told_) return ok_status();
  const ErrorScope errors;
  for (const auto& slot : slots_) {
    const std::string& name = io_.outputs[slot->index].name;
    if (!context.setOutputAllocator(name.c_str(), slot.get())) {
      return refused_call(subject_, "setOutputAllocator", name, errors.words());
    }
  }
  told_ = true;
  return ok_status();
}

std::optional<Failure> DataOutputs::refused() const {
  for (const auto& slot : slots_) {
    if (slot->refused) return slot->refused;
  }
  return std::nullopt;
}

Status DataOutputs::hand_over(const Slot& slot, OutputSink& sink, cudaStream_t stream) const {
  const IoTensor& tensor = io_.outputs[slot.index];
  const std::optional<int64_t> elements = volume(slot.shape);
  const bool fits = elements && slot.shape.nbDims == tensor.shape.nbDims &&
                    std::all_of(slot.shape.d, slot.shape.d + slot.shape.nbDims,
                                [](int64_t size) { return size <= std::numeric_limits<SizesType>::max(); });
  const size_t nbytes = fits ? static_cast<size_t>(*elements) * tensor.element_bytes : 0;
  if (!fits || !slot.memory().holds(nbytes)) {
    return Failure{ErrorCode::EngineFault, subject_ + ", tensor " + in_quotes(tensor.name),
                   elements ? "a shape that ExecuTorch or its memory cannot hold" : "no shape from TensorRT",
                   "its shape and its memory from enqueueV3", "If the message does not tell the cause, report it"};
  }
  std::array<SizesType, Dims::MAX_DIMS> sizes{};
  std::transform(slot.shape.d, slot.shape.d + slot.shape.nbDims, sizes.begin(),
                 [](int64_t size) { return static_cast<SizesType>(size); });
  Result<TensorView> view = sink.resize(slot.index, sizes.data(), static_cast<size_t>(slot.shape.nbDims));
  if (!view.ok()) return std::move(view).failure();
  if (view.value().nbytes != nbytes || (view.value().data == nullptr && nbytes > 0)) {
    return Failure{ErrorCode::BadArgument, "output " + in_quotes(tensor.name),
                   std::to_string(view.value().data == nullptr ? 0 : view.value().nbytes) + " bytes",
                   std::to_string(nbytes) + " bytes", "Give the output the dtype and shape that the engine has"};
  }
  if (nbytes == 0) return ok_status();
  return check_cuda(subject_, "cudaMemcpyAsync",
                    cudaMemcpyAsync(view.value().data, slot.memory().data(), nbytes, cudaMemcpyDefault, stream));
}

Status DataOutputs::hand_over(OutputSink& sink, cudaStream_t stream) {
  for (const auto& slot : slots_) {
    Status handed = hand_over(*slot, sink, stream);
    if (!handed.ok()) return handed;
  }
  return ok_status();
}

int64_t DataOutputs::device_bytes() const noexcept {
  int64_t bytes = 0;
  for (const auto& slot : slots_) bytes += static_cast<int64_t>(slot->memory().size());
  return bytes;
}

int64_t DataOutputs::missing_bytes() const noexcept {
  int64_t missing = 0;
  size_t slot = 0;  // in the order of the outputs; none before the first run
  for (size_t i = 0; i < io_.data_outputs.size(); ++i) {
    if (!io_.outputs[i].data_dependent) continue;
    const int64_t held = slot < slots_.size() ? static_cast<int64_t>(slots_[slot]->memory().size()) : 0;
    ++slot;
    if (__builtin_add_overflow(missing, std::max<int64_t>(io_.data_outputs[i] - held, 0), &missing)) {
      return std::numeric_limits<int64_t>::max();
    }
  }
  return missing;
}

void DataOutputs::release() noexcept {
  for (const auto& slot : slots_) slot->release();
}

}  // namespace torchtrt_ws::tensorrt
