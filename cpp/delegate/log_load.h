#pragma once

#include <chrono>
#include <string>

#include "delegate/apply.h"
#include "torchtrt_ws/engines.h"

namespace torchtrt_ws {

/// One line that says what was asked, who asked, what was decided and what the engine then did: in words, or, where the
/// environment's kLogVariable says "json", one JSON object. `took`: the load, from its first byte.
void log_load(const EngineReport& report, const Applied& applied, std::chrono::duration<double> took);

/// The JSON object, without a newline. Sizes are bytes.
std::string load_json(const EngineReport& report, const Applied& applied, std::chrono::duration<double> took);

}  // namespace torchtrt_ws
