#pragma once

#include <executorch/runtime/core/event_tracer.h>
#include <executorch/runtime/platform/platform.h>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// The stages of this thread's call go to `tracer` while it lives, ExecuTorch's ETDump say; null: nowhere, as without
/// it. Scopes nest.
///
/// The tracer's own functions are called, not ExecuTorch's hooks (runtime/core/event_tracer_hooks_delegate.h): these
/// are there only for who compiles with ET_EVENT_TRACER_ENABLED. One that profiles methods only
/// (EventTracerProfilingLevel::kProfileMethodOnly) gets no stages.
class TORCHTRT_WS_API TracingScope {
 public:
  /// `engine`: whose stages they are, each event's metadata; outlives this object, as `tracer` does.
  TracingScope(executorch::runtime::EventTracer* tracer, const char* engine) noexcept;
  ~TracingScope();
  TracingScope(const TracingScope&) = delete;
  TracingScope& operator=(const TracingScope&) = delete;

 private:
  executorch::runtime::EventTracer* const outer_tracer_;
  const char* const outer_engine_;
};

/// Whether this thread's call is traced.
TORCHTRT_WS_API bool is_traced() noexcept;

/// Ticks of ExecuTorch's clock (runtime/platform/platform.h).
struct Interval {
  et_timestamp_t start = 0;
  et_timestamp_t end = 0;  // 0: it did not happen
};

/// Says that the stage `name` of this thread's call took that long: for what happened in another thread, or in pieces.
/// Does nothing where nobody traces, and for what did not happen.
TORCHTRT_WS_API void note_stage(const char* name, const Interval& took) noexcept;

/// One stage of a load or a run: from here to the end of the block, on the host's clock. Where nobody traces it costs
/// one thread-local read.
class Stage {
 public:
  explicit Stage(const char* name) noexcept
      : name_(is_traced() ? name : nullptr), start_(name_ != nullptr ? executorch::runtime::pal_current_ticks() : 0) {}
  ~Stage() {
    if (name_ != nullptr) note_stage(name_, {start_, executorch::runtime::pal_current_ticks()});
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

 private:
  const char* const name_;
  const et_timestamp_t start_;
};

}  // namespace torchtrt_ws
