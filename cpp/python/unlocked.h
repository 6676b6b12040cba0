#pragma once

#include <nanobind/nanobind.h>

namespace torchtrt_ws::python {

/// Gives the GIL away while it lives, and hands over what was logged meanwhile. In the place of
/// nanobind::gil_scoped_release, as this does not end the process where Python ends meanwhile: the thread then stays in
/// the destructor for ever. So it is the first of a function's variables, and what others wait for is inside.
class Unlocked {
 public:
  Unlocked() noexcept;
  ~Unlocked();
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* const state_;
};

/// At Python's end: waits for the calls that other threads are in (an Unlocked lives), seconds in all and not longer.
/// False: some are still in one.
bool calls_have_ended() noexcept;

/// Makes Python's end wait for them, once it has come to where no other can begin: main() then returns, and what the
/// libraries have in static variables goes, ExecuTorch's thread pool among it. With the GIL, once.
void wait_for_calls_at_exit() noexcept;

}  // namespace torchtrt_ws::python
