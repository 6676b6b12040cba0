#include "engine/caller_stream.h"

#include "engine/executorch_stream.h"

namespace torchtrt_ws {
namespace {

thread_local std::optional<CallerStream> current;
thread_local void* event_of_last_call = nullptr;

}  // namespace

CallerStreamGuard::CallerStreamGuard(void* stream, bool may_return_early) noexcept
    : previous_(current ? current->stream : nullptr),
      had_previous_(current.has_value()),
      previous_may_return_early_(current && current->may_return_early) {
  current = CallerStream{stream, may_return_early};
}

CallerStreamGuard::~CallerStreamGuard() {
  if (had_previous_) {
    current = CallerStream{previous_, previous_may_return_early_};
  } else {
    current = std::nullopt;
  }
}

std::optional<CallerStream> caller_stream() noexcept {
  if (current) return current;
  if (const auto stream = executorch_stream()) return CallerStream{*stream, false};
  return std::nullopt;
}

void note_event(void* event) noexcept { event_of_last_call = event; }

void* last_event() noexcept { return event_of_last_call; }

}  // namespace torchtrt_ws
