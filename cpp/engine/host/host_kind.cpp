// Registers the engine kind "host" while this library is loaded.

#include "engine/engine.h"
#include "engine/engine_kind.h"
#include "engine/host/host_engine.h"

namespace torchtrt_ws::host {
namespace {

class HostKind final : public EngineKind {
 public:
  const char* name() const override { return "host"; }
  Result<std::unique_ptr<Engine>> open(Payload payload, const OpenRequest& request) override {
    return HostEngine::open(std::move(payload), request);
  }
};

HostKind kind;
const bool registered = register_engine_kind(kind);

}  // namespace
}  // namespace torchtrt_ws::host
