#include "engine/host/nested_weights.h"

#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "base/file_mapping.h"
#include "base/file_region.h"
#include "engine/dtype.h"
#include "engine/stage.h"

namespace torchtrt_ws::host {

using executorch::runtime::Error;
using executorch::runtime::FreeableBuffer;
using executorch::runtime::TensorLayout;

Result<std::shared_ptr<NestedWeights>> NestedWeights::open(const std::string& subject, const SeparateWeights& listed,
                                                           const WeightsSource* source, Verify verify) {
  std::shared_ptr<NestedWeights> map(new NestedWeights(listed));
  auto found = Weights::find(subject, map->listed_, source);
  if (!found.ok()) return std::move(found).failure();
  map->weights_ = std::make_unique<Weights>(std::move(found).value());
  Status step = map->describe(subject);
  if (step.ok() && verify != Verify::Off) {
    const Stage stage("verify weights");
    step = map->weights_->compare(verify);
  }
  if (!step.ok()) return std::move(step).failure();
  return map;
}

Status NestedWeights::describe(const std::string& subject) {
  for (size_t i = 0; i < listed_.tensors.size(); ++i) {
    const WeightFacts& facts = listed_.tensors[i];
    places_.emplace(facts.name, i);
    Layout& layout = layouts_.emplace_back();
    if (!facts.shape) continue;
    // ExecuTorch computes a constant's bytes from its layout, and reads that many.
    const Dtype* dtype = find_dtype(facts.dtype);
    int64_t bytes = dtype == nullptr ? -1 : static_cast<int64_t>(dtype->bytes);
    for (const int64_t size : *facts.shape) {
      if (size > std::numeric_limits<int32_t>::max() || __builtin_mul_overflow(bytes, size, &bytes)) bytes = -1;
      layout.sizes.push_back(static_cast<int32_t>(size));
    }
    if (bytes != facts.bytes) {
      return bad_weight(subject, facts.name, listed_.file, "a shape and a dtype that do not make its bytes",
                        std::to_string(facts.bytes) + " bytes");
    }
    layout.order.resize(layout.sizes.size());
    std::iota(layout.order.begin(), layout.order.end(), uint8_t{0});
  }
  return ok_status();
}

const size_t* NestedWeights::find(std::string_view key) const {
  const auto found = places_.find(key);
  if (found != places_.end()) return &found->second;
  if (missing_.empty()) missing_ = key;
  return nullptr;
}

NestedWeights::ExecuTorchResult<const TensorLayout> NestedWeights::get_tensor_layout(std::string_view key) const {
  const size_t* place = find(key);
  if (place == nullptr || !listed_.tensors[*place].shape) return Error::NotFound;
  const Layout& layout = layouts_[*place];
  return TensorLayout::create({layout.sizes.data(), layout.sizes.size()}, {layout.order.data(), layout.order.size()},
                              find_dtype(listed_.tensors[*place].dtype)->type);
}

NestedWeights::ExecuTorchResult<FreeableBuffer> NestedWeights::get_data(std::string_view key) const {
  const size_t* place = find(key);
  if (place == nullptr) return Error::NotFound;
  const Weight weight = (*weights_)[*place];
  return FreeableBuffer(weight.data, static_cast<size_t>(weight.facts.bytes), nullptr);
}

Error NestedWeights::load_data_into(std::string_view key, void* buffer, size_t size) const {
  const size_t* place = find(key);
  if (place == nullptr) return Error::NotFound;
  const Weight weight = (*weights_)[*place];
  if (size > static_cast<size_t>(weight.facts.bytes)) return Error::InvalidArgument;
  std::memcpy(buffer, weight.data, size);
  return Error::Ok;
}

NestedWeights::ExecuTorchResult<const char*> NestedWeights::get_key(uint32_t index) const {
  if (index >= listed_.tensors.size()) return Error::InvalidArgument;
  return listed_.tensors[index].name.c_str();
}

void NestedWeights::drop_pages() const {
  std::vector<std::pair<const void*, uint64_t>> spans;
  for (size_t i = 0; i < weights_->size(); ++i) {
    spans.emplace_back((*weights_)[i].data, static_cast<uint64_t>((*weights_)[i].facts.bytes));
  }
  const auto regions = file_regions_of(spans);
  for (size_t i = 0; i < spans.size(); ++i) {
    if (regions[i]) torchtrt_ws::drop_pages(spans[i].first, 0, spans[i].second);
  }
}

}  // namespace torchtrt_ws::host
