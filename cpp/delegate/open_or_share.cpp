#include "delegate/open_or_share.h"

#include <utility>

#include "delegate/live_handles.h"

namespace torchtrt_ws {
namespace {

int strictness(Verify verify) { return verify == Verify::Off ? 0 : verify == Verify::Checksum ? 1 : 2; }

Status compare(const Payload& payload, const OpenRequest& request, Verify already) {
  if (strictness(request.verify) <= strictness(already)) return ok_status();
  const Verification verification(request.verify, request.metadata, "engine '" + request.name + "'");
  return verification.compare(payload.data(), payload.size());
}

}  // namespace

Result<OpenedEngine> open_or_share(OpenEngine open, Payload payload, const OpenRequest& request, PayloadKey* key) {
  for (auto& live : key == nullptr ? Handles() : LiveHandles::instance().all()) {
    if (!live->key() || !same_bytes(*live->key(), *key, payload.data())) continue;
    Status same = compare(payload, request, live->key()->verified);
    if (!same.ok()) return std::move(same).failure();
    auto shared = live->share(payload, request);
    if (!shared.ok()) return std::move(shared).failure();
    if (shared.value() != nullptr) return OpenedEngine{std::move(shared).value(), std::move(live)};
  }
  auto opened = open(std::move(payload), request);
  if (!opened.ok()) return std::move(opened).failure();
  return OpenedEngine{std::move(opened).value(), nullptr};
}

}  // namespace torchtrt_ws
