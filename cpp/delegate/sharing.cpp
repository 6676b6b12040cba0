#include "delegate/sharing.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>

#include "digest/sha256.h"

namespace torchtrt_ws {

PayloadKey key_of(const std::string& kind, int device, const uint8_t* data, uint64_t size, const Metadata& metadata,
                  Verify verify) {
  PayloadKey key{kind, device, size, file_region_of(data, size), "", "", verify};
  if (metadata.own) key.recorded_sha256 = metadata.own->sha256;
  if (verify == Verify::Digest) key.computed_sha256 = key.recorded_sha256;  // the load fails unless they are the same
  return key;
}

Status note_weights(PayloadKey& key, const std::string& subject, const SeparateWeights& listed,
                    const WeightsSource* source) {
  auto weights = Weights::find(subject, listed, source);
  if (!weights.ok()) return std::move(weights).failure();
  std::vector<std::pair<const void*, uint64_t>> spans;
  for (std::size_t i = 0; i < weights.value().size(); ++i) {
    const Weight weight = weights.value()[i];
    spans.emplace_back(weight.data, static_cast<uint64_t>(weight.facts.bytes));
  }
  const auto regions = file_regions_of(spans);
  for (std::size_t i = 0; i < regions.size(); ++i) key.weights.emplace_back(listed.tensors[i].name, regions[i]);
  return ok_status();
}

bool can_be_shared(const PayloadKey& key) {
  const bool files = std::all_of(key.weights.begin(), key.weights.end(), [](const auto& each) { return each.second; });
  return files && (key.region.has_value() || !key.computed_sha256.empty());
}

bool same_bytes(const PayloadKey& loaded, PayloadKey& own, const uint8_t* data) {
  const auto same_weight = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second && b.second && *a.second == *b.second;
  };
  if (!std::equal(loaded.weights.begin(), loaded.weights.end(), own.weights.begin(), own.weights.end(), same_weight)) {
    return false;
  }
  if (loaded.kind != own.kind || loaded.device != own.device || loaded.size != own.size) return false;
  if (loaded.region && own.region && *loaded.region == *own.region) return true;
  if (own.recorded_sha256.empty() || loaded.recorded_sha256 != own.recorded_sha256) return false;
  std::string theirs = loaded.computed_sha256;
  if (theirs.empty() && loaded.region) theirs = sha256_of(*loaded.region).value_or("");
  if (theirs.empty()) return false;
  if (own.computed_sha256.empty()) own.computed_sha256 = sha256_hex(data, static_cast<size_t>(own.size));
  return own.computed_sha256 == theirs;
}

std::shared_ptr<std::mutex> opening(const PayloadKey& key) {
  using Name = std::tuple<std::string, int, uint64_t>;
  static auto* guard = new std::mutex;  // both leaked: programs may be loaded while the process ends
  static auto* all = new std::map<Name, std::weak_ptr<std::mutex>>;
  std::lock_guard<std::mutex> lock(*guard);
  for (auto each = all->begin(); each != all->end();)
    each = each->second.expired() ? all->erase(each) : std::next(each);
  std::weak_ptr<std::mutex>& known = (*all)[{key.kind, key.device, key.size}];
  std::shared_ptr<std::mutex> mutex = known.lock();
  if (mutex == nullptr) known = mutex = std::make_shared<std::mutex>();
  return mutex;
}

}  // namespace torchtrt_ws
