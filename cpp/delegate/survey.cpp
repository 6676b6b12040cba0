#include <string>
#include <utility>
#include <vector>

#include "delegate/error.h"
#include "engine/adapter_survey.h"
#include "engine/engine_kind.h"
#include "torchtrt_ws/check.h"

namespace torchtrt_ws {

using executorch::runtime::Error;

executorch::runtime::Result<std::vector<CheckFact>> survey(const std::string& kind) {
  std::vector<CheckFact> facts;
  const Error error = guarded("survey", [&]() -> Status {
    auto found = find_engine_kind(kind);
    if (!found.ok()) return std::move(found).failure();
    if (const SurveyMachine look = find_adapter_survey(kind)) facts = look();
    return ok_status();
  });
  if (error != Error::Ok) return error;
  return facts;
}

}  // namespace torchtrt_ws
