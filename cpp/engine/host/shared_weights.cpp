#include "engine/host/shared_weights.h"

#include <algorithm>
#include <utility>

namespace torchtrt_ws::host {

void SharedWeights::set_packed(PackedFile packed, const std::vector<Range>& mappings) {
  packed_.emplace(std::move(packed));
  for (const Range& range : mappings) residency_.emplace_back(range);
}

void SharedWeights::keep(NestedProgram program) {
  if (!kept_) kept_.emplace(std::move(program));
}

int64_t SharedWeights::budget() const {
  if (residency_.empty()) return 0;
  const auto least = std::min_element(residency_.begin(), residency_.end(),
                                      [](const Residency& a, const Residency& b) { return a.kept() < b.kept(); });
  return std::min(least->kept(), streamable_bytes());
}

int64_t SharedWeights::budget_for(int64_t bytes) const {
  const auto page = static_cast<int64_t>(page_size());
  return bytes >= streamable_bytes() ? streamable_bytes() : bytes / page * page;
}

void SharedWeights::set_budget(int64_t bytes) {
  const int64_t kept = std::clamp<int64_t>(bytes, 0, streamable_bytes());
  for (Residency& mapping : residency_) mapping.keep(kept, streamable_bytes());
}

int64_t SharedWeights::resident_bytes() const {
  int64_t resident = 0;
  for (const Residency& part : residency_) resident += part.resident();
  return resident;
}

void SharedWeights::drop_rest() {
  if (budget() >= streamable_bytes()) return;
  for (Residency& part : residency_) part.drop_rest();
}

}  // namespace torchtrt_ws::host
