#pragma once

#include "engine/engine_probe.h"

namespace torchtrt_ws::host {

/// What can be told of a host engine before it is opened: the folder of packed weights, and the room in it.
Probe probe_host(const ProbeRequest& request);

}  // namespace torchtrt_ws::host
