#include "delegate/log_load.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/quote.h"
#include "engine/log.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

bool wants_json() {
  const char* asked = std::getenv(kLogVariable);
  const std::string_view form = asked == nullptr ? "" : asked;
  if (form == "json") return true;
  if (!form.empty() && form != "text") {
    log_info("warning: " + std::string(kLogVariable) + ": found " + in_quotes(form) +
             "; expected \"json\" or \"text\". Loads are logged as text.");
  }
  return false;
}

}  // namespace

std::string load_json(const EngineReport& report, const Applied& applied, std::chrono::duration<double> took) {
  const nlohmann::ordered_json json = {{"torchtrt_ws", "load"},
                                       {"id", report.id},
                                       {"engine", report.name},
                                       {"method", report.method},
                                       {"kind", report.kind},
                                       {"device", report.device},
                                       {"variant", report.variant},
                                       {"requested", applied.requested},
                                       {"source", report.source},
                                       {"resolved_bytes", applied.resolved},
                                       {"budget_bytes", report.budget_bytes},
                                       {"streamable_bytes", report.streamable_bytes},
                                       {"scratch_bytes", report.scratch_bytes},
                                       {"device_bytes", report.device_bytes},
                                       {"clipped", report.clipped},
                                       {"ladder_steps", report.ladder_steps},
                                       {"cache_hits", report.cache_hits},
                                       {"cache_misses", report.cache_misses},
                                       {"context_seconds", report.context_seconds},
                                       {"seconds", took.count()},
                                       {"notes", applied.notes}};
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);  // names come from files: not always UTF-8
}

void log_load(const EngineReport& report, const Applied& applied, std::chrono::duration<double> took) {
  if (wants_json()) {
    log_one_line(load_json(report, applied, took));
    return;
  }
  log_info("engine '" + report.name + "' (" + report.kind + "): requested=" + applied.requested +
           " source=" + report.source + " resolved=" + std::to_string(applied.resolved) +
           " actual=" + std::to_string(report.budget_bytes) + " streamable=" + std::to_string(report.streamable_bytes) +
           " scratch=" + std::to_string(report.scratch_bytes) + " bytes" +
           (report.variant.empty() ? "" : ", plan " + report.variant));
}

}  // namespace torchtrt_ws
