#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <optional>
#include <string>

#include "python/program.h"

namespace torchtrt_ws::python {

/// One call of a method. What it is given was checked against what the program declares (torchtrt_ws.runtime).
///
/// `inputs`: one for each input: a contiguous array with Python's buffer protocol, (address, shape) of memory wherever
/// the method wants it, or a number. Its dtype is the declared one.
///
/// `outputs`: None, or one for each output: None, a contiguous writable buffer, (address, bytes) of memory that is not
/// the host's, (address, bytes, None) of the host's, or (buffer, device) for an output that is planned in memory of
/// that device. An output that is not planned needs one of the bytes of its largest shape.
///
/// `stream`: a `cudaStream_t` for the call (torchtrt_ws/stream.h); None: the engine's own. `wait`: the work is done
/// when this returns, also with a stream.
///
/// Returns a list: for each output the shape of what is in the memory given for it, else a numpy array, which is the
/// caller's (of unsigned integers for a dtype that numpy lacks), or a number. Throws NativeError. Needs the GIL, and
/// gives it away while it waits and runs.
nanobind::list execute(Program& program, const std::string& method, nanobind::sequence inputs, nanobind::object outputs,
                       std::optional<uintptr_t> stream, bool wait);

}  // namespace torchtrt_ws::python
