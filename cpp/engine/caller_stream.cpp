#include "engine/caller_stream.h"

#include "engine/executorch_stream.h"

namespace torchtrt_ws {
namespace {

thread_local std::optional<void*> current;
thread_local void* event_of_last_call = nullptr;

}  // namespace

CallerStreamGuard::CallerStreamGuard(void* stream) noexcept
    : previous_(current.value_or(nullptr)), had_previous_(current.has_value()) {
  current = stream;
}

CallerStreamGuard::~CallerStreamGuard() { current = had_previous_ ? std::optional<void*>(previous_) : std::nullopt; }

std::optional<CallerStream> caller_stream() noexcept {
  if (current) return CallerStream{*current, true};
  if (const auto stream = executorch_stream()) return CallerStream{*stream, false};
  return std::nullopt;
}

void note_event(void* event) noexcept { event_of_last_call = event; }

void* last_event() noexcept { return event_of_last_call; }

}  // namespace torchtrt_ws
