// Registers the engine kind "host" while this library is loaded.

#include "engine/engine_kind.h"
#include "engine/host/host_engine.h"
#include "engine/host/host_probe.h"

namespace torchtrt_ws::host {

[[maybe_unused]] static const bool registered = register_engine_kind("host", &HostEngine::open);
[[maybe_unused]] static const bool probes = register_engine_probe("host", &probe_host);

}  // namespace torchtrt_ws::host
