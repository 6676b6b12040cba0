// Registers the engine kind "host" while this library is loaded.

#include "engine/engine_kind.h"
#include "engine/host/host_engine.h"

namespace torchtrt_ws::host {

[[maybe_unused]] static const bool registered = register_engine_kind("host", &HostEngine::open);

}  // namespace torchtrt_ws::host
