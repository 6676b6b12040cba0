#pragma once

#include <cstdint>

namespace torchtrt_ws {

/// Tells this thread's innermost LoadScope (torchtrt_ws/load_scope.h), if there is one, that an engine was loaded.
void note_loaded(uint64_t id);

}  // namespace torchtrt_ws
