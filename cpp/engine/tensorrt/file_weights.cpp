#include "engine/tensorrt/file_weights.h"

#include <utility>

namespace torchtrt_ws::tensorrt {

std::unique_ptr<FileWeights> FileWeights::keep(const SeparateWeights& listed, const WeightsSource& source) {
  std::vector<Payload> found;
  std::vector<std::pair<const void*, uint64_t>> spans;
  for (const WeightFacts& each : listed.tensors) {
    auto bytes = source.find(each.key, each.name);
    if (!bytes.ok()) return nullptr;  // it was there a moment ago
    spans.emplace_back(bytes.value().data(), bytes.value().size());
    found.push_back(std::move(bytes).value());
  }
  auto kept = std::make_unique<FileWeights>();
  const auto regions = file_regions_of(spans);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (regions[i]) kept->mapped_.emplace(listed.tensors[i].name, Mapped{std::move(found[i]), *regions[i]});
  }
  return kept->mapped_.empty() ? nullptr : std::move(kept);
}

const void* FileWeights::find(const std::string& name) const {
  const auto found = mapped_.find(name);
  if (found == mapped_.end()) return nullptr;
  const Payload& bytes = found->second.bytes;
  const auto now = file_region_of(bytes.data(), bytes.size());
  return now && *now == found->second.region ? bytes.data() : nullptr;
}

}  // namespace torchtrt_ws::tensorrt
