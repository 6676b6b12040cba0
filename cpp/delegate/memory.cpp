#include "torchtrt_ws/memory.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/quote.h"
#include "delegate/arbiter.h"
#include "delegate/error.h"
#include "delegate/headroom.h"
#include "delegate/live_handles.h"
#include "delegate/program_memory.h"
#include "delegate/sleep.h"
#include "engine/python_lock.h"

namespace torchtrt_ws {

using executorch::runtime::Error;

namespace {

/// Runs `body(handles)` for the live engines `ids`, under planning().
template <typename Body>
Error for_all(const char* where, const std::vector<uint64_t>& ids, Body body) {
  return guarded(where, [&]() -> Status {
    auto handles = find_all(ids);
    if (!handles.ok()) return std::move(handles).failure();
    const auto lock = lock_patiently(planning());
    return body(handles.value());
  });
}

/// Runs `body`, which returns bytes, under planning().
template <typename Body>
executorch::runtime::Result<int64_t> bytes_of(const char* where, Body body) {
  int64_t bytes = 0;
  const Error error = guarded(where, [&]() -> Status {
    const auto lock = lock_patiently(planning());
    Result<int64_t> done = body();
    if (!done.ok()) return std::move(done).failure();
    bytes = done.value();
    return ok_status();
  });
  if (error != Error::Ok) return error;
  return bytes;
}

Failure not_bytes(const char* where, int64_t found) {
  return {ErrorCode::BadArgument, where, std::to_string(found), "bytes, 0 or more", "Mend the number"};
}

}  // namespace

Error set_priority(const std::vector<uint64_t>& ids, int priority) {
  return for_all("set_priority", ids, [priority](const Handles& handles) {
    for (const auto& handle : handles) handle->set_priority(priority);
    return ok_status();
  });
}

Error set_steps(uint64_t id, const std::vector<int64_t>& budgets) {
  return for_all("set_steps", {id}, [&](const Handles& handles) -> Status {
    const auto bad = std::find_if(budgets.begin(), budgets.end(), [](int64_t budget) { return budget < 0; });
    if (bad != budgets.end()) return not_bytes("set_steps", *bad);
    handles.front()->set_steps(budgets);
    return ok_status();
  });
}

executorch::runtime::Result<int64_t> make_room(const std::string& device, int64_t bytes) {
  return bytes_of("make_room", [&]() -> Result<int64_t> {
    if (bytes < 0) return not_bytes("make_room", bytes);
    return free_bytes_of(device, bytes);
  });
}

executorch::runtime::Result<int64_t> give_back() {
  const auto freed = bytes_of("give_back", return_to_all);
  if (!freed.ok()) return freed.error();
  return -freed.get();
}

Error set_headroom(const std::string& device, int64_t bytes) {
  return guarded("set_headroom", [&]() -> Status {
    if (bytes < 0) return not_bytes("set_headroom", bytes);
    if (device.empty()) {
      return Failure{ErrorCode::BadArgument, "set_headroom", "a device without a name", "\"cuda:0\" or \"cpu\", say",
                     "Give the device"};
    }
    const auto lock = lock_patiently(planning());
    headroom_of(device) = {bytes};
    keep_headroom(device);
    return ok_status();
  });
}

int64_t headroom(const std::string& device) {
  const auto lock = lock_patiently(planning());
  return headroom_bytes(device);
}

executorch::runtime::Result<int64_t> follow() { return bytes_of("follow", look_at_all_headrooms); }

Error sleep(const std::vector<uint64_t>& ids) { return for_all("sleep", ids, sleep_all); }

Error wake(const std::vector<uint64_t>& ids) {
  return for_all("wake", ids, [](const Handles& handles) {
    Status woken = wake_all(handles);
    if (woken.ok()) keep_headroom_for(handles);
    return woken;
  });
}

}  // namespace torchtrt_ws
