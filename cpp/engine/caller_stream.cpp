#include "engine/caller_stream.h"

namespace torchtrt_ws {
namespace {

thread_local std::optional<void*> current;

}  // namespace

CallerStreamGuard::CallerStreamGuard(void* stream) noexcept
    : previous_(current.value_or(nullptr)), had_previous_(current.has_value()) {
  current = stream;
}

CallerStreamGuard::~CallerStreamGuard() { current = had_previous_ ? std::optional<void*>(previous_) : std::nullopt; }

std::optional<void*> caller_stream() noexcept { return current; }

}  // namespace torchtrt_ws
