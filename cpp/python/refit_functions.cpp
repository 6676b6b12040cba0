#include "python/refit_functions.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "python/buffer_view.h"
#include "python/program.h"
#include "python/unlocked.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/new_weights.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace torchtrt_ws::python {
namespace {

using executorch::runtime::Error;

/// Name, dtype and count of each, as a list of tuples.
nb::list weights_of(uint64_t id) {
  const std::vector<RefittableWeight> weights = [id] {
    const Unlocked unlocked;  // it waits for a run in flight
    clear_last_error();
    auto takes = refittable_weights(id);
    if (!takes.ok()) throw_error(takes.error(), "engine", "an engine that takes weights");
    return std::move(takes.get());
  }();
  nb::list found;
  for (const RefittableWeight& each : weights) found.append(nb::make_tuple(each.name, each.dtype, each.count));
  return found;
}

/// `weights`: (name, dtype, count, contiguous buffer) of each.
void refit_or_throw(const std::vector<Program*>& programs, nb::list weights, const std::string& engine) {
  std::deque<BufferView> buffers;  // hold the memory meanwhile
  std::vector<NewWeight> given;
  for (nb::handle each : weights) {
    const auto weight = nb::cast<nb::tuple>(each);
    const Py_buffer& view = *buffers.emplace_back(weight[3], PyBUF_ND);
    given.push_back({nb::cast<std::string>(weight[0]), nb::cast<std::string>(weight[1]), nb::cast<int64_t>(weight[2]),
                     view.buf, view.len});
  }
  const Unlocked unlocked;  // it waits for runs in flight
  Program::between_calls(programs, [&](const std::vector<uint64_t>& ids) {
    clear_last_error();
    const Error error = refit(ids, given, engine);
    if (error != Error::Ok) throw_error(error, "weights", "weights that the engines take");
  });
}

}  // namespace

void add_refit_functions(nb::module_& module) {
  module.def("refittable_weights", &weights_of, "id"_a);
  module.def("refit", &refit_or_throw, "programs"_a, "weights"_a, "engine"_a);
}

}  // namespace torchtrt_ws::python
