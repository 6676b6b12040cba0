#pragma once

#include <string>
#include <vector>

#include "torchtrt_ws/api.h"
#include "torchtrt_ws/check.h"

namespace torchtrt_ws {

/// What an adapter finds on this machine: what it was built with, the libraries that it would use, and the devices.
using SurveyMachine = std::vector<CheckFact> (*)();

/// An adapter calls this beside register_engine_kind(), if there is something to tell.
TORCHTRT_WS_API bool register_adapter_survey(const char* name, SurveyMachine survey);

/// The survey of a registered kind; null for a kind that has none.
SurveyMachine find_adapter_survey(const std::string& name);

}  // namespace torchtrt_ws
