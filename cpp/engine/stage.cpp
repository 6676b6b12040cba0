#include "engine/stage.h"

#include <cstring>

namespace torchtrt_ws {
namespace {

using executorch::runtime::EventTracer;
using executorch::runtime::EventTracerProfilingLevel;

thread_local EventTracer* current_tracer = nullptr;
thread_local const char* current_engine = "";

}  // namespace

TracingScope::TracingScope(EventTracer* tracer, const char* engine) noexcept
    : outer_tracer_(current_tracer), outer_engine_(current_engine) {
  const bool wanted =
      tracer != nullptr && tracer->event_tracer_profiling_level() > EventTracerProfilingLevel::kProfileMethodOnly;
  current_tracer = wanted ? tracer : nullptr;
  current_engine = engine;
}

TracingScope::~TracingScope() {
  current_tracer = outer_tracer_;
  current_engine = outer_engine_;
}

bool is_traced() noexcept { return current_tracer != nullptr; }

void note_stage(const char* name, const Interval& took) noexcept {
  if (current_tracer == nullptr || took.end == 0) return;
  current_tracer->log_profiling_delegate(name, executorch::runtime::kUnsetDelegateDebugIntId, took.start, took.end,
                                         current_engine, std::strlen(current_engine));
}

}  // namespace torchtrt_ws
