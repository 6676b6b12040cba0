#include "python/memory_functions.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "python/program.h"
#include "python/unlocked.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/memory.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace torchtrt_ws::python {
namespace {

using executorch::runtime::Error;
using Ids = std::vector<uint64_t>;

/// Calls what returns an Error or a Result, and throws what it reports.
template <typename Call>
auto or_throw(const char* subject, Call call) {
  const Unlocked unlocked;  // it waits for runs in flight
  clear_last_error();
  auto done = call();
  if constexpr (std::is_same_v<decltype(done), Error>) {
    if (done != Error::Ok) throw_error(done, subject, "engines that tell what they take");
  } else {
    if (!done.ok()) throw_error(done.error(), subject, "engines that tell what they take");
    return done.get();
  }
}

Ids all_engine_ids() {
  const Unlocked unlocked;
  Ids ids;
  for (const EngineReport& report : engines()) ids.push_back(report.id);
  return ids;
}

int64_t headroom_now(const std::string& device) {
  const Unlocked unlocked;  // it waits for a change in progress
  return headroom(device);
}

/// A Follower that may end before it is collected.
class Following {
 public:
  explicit Following(int64_t milliseconds)
      : follower_(std::make_unique<Follower>(std::chrono::milliseconds(milliseconds))) {}
  ~Following() { stop(); }
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

  void stop() {
    if (getpid() != process_) {  // a child does not have its thread, and would wait for that for ever
      [[maybe_unused]] const auto* const left = follower_.release();
    }
    follower_.reset();
  }

 private:
  const pid_t process_ = getpid();
  std::unique_ptr<Follower> follower_;
};

}  // namespace

void add_memory_functions(nb::module_& module) {
  module.def("all_engine_ids", &all_engine_ids);
  module.def(
      "set_priority",
      [](const Ids& ids, int priority) { or_throw("priority", [&] { return set_priority(ids, priority); }); }, "ids"_a,
      "priority"_a);
  module.def(
      "set_steps",
      [](uint64_t id, const std::vector<int64_t>& budgets) {
        or_throw("steps", [&] { return set_steps(id, budgets); });
      },
      "id"_a, "budgets"_a);
  module.def(
      "make_room",
      [](const std::string& device, int64_t bytes) {
        return or_throw("make_room", [&] { return make_room(device, bytes); });
      },
      "device"_a, "bytes"_a);
  module.def("give_back", [] { return or_throw("give_back", [] { return give_back(); }); });
  module.def(
      "set_headroom",
      [](const std::string& device, int64_t bytes) {
        or_throw("headroom", [&] { return set_headroom(device, bytes); });
      },
      "device"_a, "bytes"_a);
  module.def("headroom", &headroom_now, "device"_a);
  module.def("follow", [] { return or_throw("follow", [] { return follow(); }); });
  module.def("reset_state", [](const Ids& ids) { or_throw("state", [&] { return reset_state(ids); }); }, "ids"_a);
  module.def("sleep", [](const Ids& ids) { or_throw("sleep", [&] { return sleep(ids); }); }, "ids"_a);
  module.def("wake", [](const Ids& ids) { or_throw("wake", [&] { return wake(ids); }); }, "ids"_a);
  nb::class_<Following>(module, "Following")
      .def(nb::init<int64_t>(), "milliseconds"_a)
      .def("stop", &Following::stop, nb::call_guard<Unlocked>());
}

}  // namespace torchtrt_ws::python
