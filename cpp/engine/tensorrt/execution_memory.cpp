// The device memory that an execution keeps from call to call.

#include "engine/tensorrt/execution.h"

namespace torchtrt_ws::tensorrt {

Status Execution::reserve() {
  Status reserved = nothing_.reserve(subject_, kAddressAlignment);
  return reserved.ok() && state_.any() ? state_.reserve(stream_.get()) : reserved;
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
