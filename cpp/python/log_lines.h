#pragma once

#include <nanobind/nanobind.h>

#include <string>

namespace torchtrt_ws::python {

/// Takes ExecuTorch's log lines, and those of all that log through it (its delegates, XNNPACK's among them, and ours),
/// from stderr to Python: `handler()` is called with the GIL when there are lines for take_log_lines(). Lines of a
/// thread that holds the GIL are handed over at once; others when the call of this module in progress ends (Unlocked),
/// because waiting for the GIL with somebody's lock may be waiting for ever. Fatal lines go to stderr as well, as what
/// follows ends the process. None: lines go to stderr again.
///
/// Source: ExecuTorch 1.5.1, runtime/platform/platform.h.
void set_log_handler(nanobind::object handler);

/// Takes the lines back from whoever has taken them since.
void take_log() noexcept;

/// Lines since the last call, oldest first: (seconds since the epoch, level "D", "I", "E" or "F", file, function, line,
/// message, thread id). Of more than 10,000 the oldest are dropped, and one line says how many.
nanobind::list take_log_lines();

/// What ExecuTorch, not we, logged as errors on this thread since forget_error_lines(), the first ones, as one text
/// without a full stop; empty: nothing.
std::string error_lines();
void forget_error_lines() noexcept;

/// Calls the handler where there are lines. With the GIL; in a thread that Python ends meanwhile it does not return.
void hand_over_lines() noexcept;

}  // namespace torchtrt_ws::python
