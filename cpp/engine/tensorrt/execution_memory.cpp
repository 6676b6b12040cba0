// The device memory that an execution keeps from call to call.

#include <algorithm>
#include <limits>

#include "engine/tensorrt/execution.h"

namespace torchtrt_ws::tensorrt {

Status Execution::reserve() {
  Status reserved = nothing_.reserve(subject_, kAddressAlignment);
  return reserved.ok() && state_.any() ? state_.reserve(stream_.get()) : reserved;
}

int64_t Execution::device_bytes() const noexcept {
  return staging_.device_bytes() + data_outputs_.device_bytes() + state_.device_bytes() +
         static_cast<int64_t>(nothing_.size());
}

int64_t Execution::missing_bytes() const noexcept {
  // Each for itself: what one has is of no use to another.
  const int64_t staging = std::max<int64_t>(most_staged(io_) - staging_.device_bytes(), 0);
  const int64_t for_nothing = nothing_.holds(kAddressAlignment) ? 0 : static_cast<int64_t>(kAddressAlignment);
  int64_t missing = 0;
  for (const int64_t bytes : {staging, data_outputs_.missing_bytes(), state_.missing_bytes(), for_nothing}) {
    if (__builtin_add_overflow(missing, bytes, &missing)) return std::numeric_limits<int64_t>::max();
  }
  return missing;
}

void Execution::release_staging() noexcept {
  staging_.release();
  data_outputs_.release();
  nothing_.free();
}

Status Execution::reset_state() {
  Status waited = wait_in_flight();
  return waited.ok() && state_.any() ? state_.clear(stream_.get()) : waited;
}

}  // namespace torchtrt_ws::tensorrt
