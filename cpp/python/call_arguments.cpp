#include "python/call_arguments.h"

#include <cstring>
#include <utility>

#include "python/device_memory_functions.h"
#include "python/unlocked.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::python {
namespace {

using executorch::aten::Tensor;
using executorch::runtime::EValue;

/// Copies what is not where it should be. Before the next run, which overwrites it; without the GIL.
Taken take(const EValue& value, const Arguments& arguments, size_t position) {
  Taken taken;
  if (!value.isTensor()) {
    taken.value = value;
    return taken;
  }
  const Tensor tensor = value.toTensor();
  taken.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
  const size_t nbytes = tensor.nbytes();
  const void* data = tensor.const_data_ptr();
  if (position < arguments.destinations.size() && arguments.destinations[position].given) {
    const Destination& destination = arguments.destinations[position];
    taken.given = true;
    if (nbytes == 0 || data == destination.data) return taken;
    if (!destination.on_host) throw no_output(position, "memory of another tensor", "memory of its own");
    if (nbytes > destination.nbytes) {
      throw NativeError("InvalidArgument", "output " + std::to_string(position), std::to_string(nbytes) + " bytes",
                        "at most " + std::to_string(destination.nbytes), "Give it more memory");
    }
    if (data == nullptr) return taken;
    if (destination.from_device < 0) {
      std::memcpy(destination.data, data, nbytes);
    } else {
      download(destination.data, data, nbytes, destination.from_device);  // it waits for the caller's stream
    }
    return taken;
  }
  taken.dtype = find_dtype(tensor.scalar_type());
  if (taken.dtype == nullptr) throw no_output(position, "a dtype that has no name", "one that numpy or torch has");
  taken.bytes = std::make_unique<char[]>(nbytes + 1);  // never empty: a null pointer is no array
  if (nbytes > 0 && data != nullptr) std::memcpy(taken.bytes.get(), data, nbytes);
  return taken;
}

}  // namespace

NativeError refused(const std::string& role, size_t position, const std::string& found, const std::string& expected) {
  return NativeError("InvalidArgument", role + " " + std::to_string(position), found, expected, "Convert it first");
}

NativeError no_output(size_t position, const std::string& found, const std::string& expected) {
  return NativeError("NotSupported", "output " + std::to_string(position), found, expected,
                     "Change what the method returns");
}

const Slots& loaded_slots(Program& program, const std::string& method) {
  const Slots* slots = program.find_slots(method);
  if (slots == nullptr) {
    const Unlocked unlocked;  // it waits for a run in flight
    program.load_method(method);
    slots = program.find_slots(method);
  }
  return *slots;
}

std::vector<Taken> run(Program& program, const std::string& method, const Arguments& arguments,
                       std::optional<uintptr_t> stream, bool wait) {
  std::vector<Taken> taken;
  const Unlocked unlocked;  // before waiting for the program's lock
  std::optional<CallerStreamGuard> guard;
  if (stream) guard.emplace(reinterpret_cast<void*>(*stream), !wait);
  program.execute(method, arguments.values, arguments.destinations, [&](const std::vector<EValue>& results) {
    taken.reserve(results.size());
    for (size_t i = 0; i < results.size(); ++i) taken.push_back(take(results[i], arguments, i));
  });
  return taken;
}

}  // namespace torchtrt_ws::python
