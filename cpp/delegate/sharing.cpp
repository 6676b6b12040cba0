#include "delegate/sharing.h"

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

bool can_be_shared(const PayloadKey& key) { return key.region.has_value() || !key.computed_sha256.empty(); }

bool same_bytes(const PayloadKey& loaded, PayloadKey& own, const uint8_t* data) {
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
