#include "delegate/sleep.h"

#include <algorithm>
#include <utility>

#include "delegate/error.h"
#include "delegate/put_back.h"

namespace torchtrt_ws {
namespace {

/// All or none of `handles`, those that are `awake` already or not left alone.
Status all_or_none(const Handles& handles, bool awake, Status (Handle::*step)(), Status (Handle::*back)()) {
  BudgetsBefore done;
  done.reserve(handles.size());
  for (const auto& handle : handles) {
    if (handle->awake() == awake) continue;
    const Handle::Previous before = handle->previous();
    Status stepped = ((*handle).*step)();
    if (stepped.ok()) {
      done.emplace_back(handle, before);
      continue;
    }
    for (auto each = done.rbegin(); each != done.rend(); ++each) {
      const Status undone = ((*each->first).*back)();
      if (undone.ok()) continue;
      log_notes(each->first->identity().name,
                {std::string("warning: it ") + (awake ? "stays awake: " : "sleeps on: ") + undone.failure().message()});
    }
    (void)put_back(done);  // a step may have made budgets smaller, to fit; what fails of it is in the log
    return stepped;
  }
  return ok_status();
}

}  // namespace

Status sleep_all(const Handles& handles) { return all_or_none(handles, false, &Handle::sleep, &Handle::wake); }

Status wake_all(const Handles& handles) {
  Handles ordered = handles;
  std::sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    const int of_a = a->priority(), of_b = b->priority();
    return of_a != of_b ? of_a > of_b : a->identity().id < b->identity().id;
  });
  return all_or_none(ordered, true, &Handle::wake, &Handle::sleep);
}

}  // namespace torchtrt_ws
