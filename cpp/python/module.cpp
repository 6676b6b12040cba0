// torchtrt_ws._native: ExecuTorch's Module with load-time options, and the engines behind it. No torch.

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "blob/blob.h"
#include "budget/decimal.h"
#include "engine/dtype.h"
#include "python/call.h"
#include "python/check_functions.h"
#include "python/device_memory_functions.h"
#include "python/exchange_path.h"
#include "python/log_lines.h"
#include "python/memory_functions.h"
#include "python/program.h"
#include "python/refit_functions.h"
#include "python/unlocked.h"
#include "torchtrt_ws/adapter.h"
#include "torchtrt_ws/defaults.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/saved_budgets.h"
#include "torchtrt_ws/stream.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace torchtrt_ws::python {
namespace {

nb::dict engine_report(uint64_t id) {
  const EngineReport report = [id] {
    const Unlocked unlocked;  // it waits for a run in flight
    return engine(id);
  }();
  nb::dict fields;
  fields["id"] = report.id;
  fields["name"] = report.name;
  fields["method"] = report.method;
  fields["kind"] = report.kind;
  fields["device"] = report.device;
  fields["variant"] = report.variant;
  fields["streamable_bytes"] = report.streamable_bytes;
  fields["budget_bytes"] = report.budget_bytes;
  fields["wanted_bytes"] = report.wanted_bytes;
  fields["source"] = report.source;
  fields["scratch_bytes"] = report.scratch_bytes;
  fields["device_bytes"] = report.device_bytes;
  fields["priority"] = report.priority;
  fields["asleep"] = report.asleep;
  fields["refittable"] = report.refittable;
  fields["runs"] = report.runs;
  fields["seconds"] = report.seconds;
  fields["streamed_bytes"] = report.streamed_bytes;
  fields["streamed_bytes_per_second"] = report.streamed_bytes_per_second;
  fields["clipped"] = report.clipped;
  fields["ladder_steps"] = report.ladder_steps;
  fields["graph_hits"] = report.graph_hits;
  fields["cache_hits"] = report.cache_hits;
  fields["cache_misses"] = report.cache_misses;
  fields["context_seconds"] = report.context_seconds;
  fields["shared_with"] = nb::cast(report.shared_with);
  return fields;
}

nb::bytes etdump(Program& program) {
  const std::string dump = [&program] {
    const Unlocked unlocked;  // it waits for a run in flight
    return program.etdump();
  }();
  return nb::bytes(dump.data(), dump.size());
}

/// For tests: the C++ reader's view of a blob, or the failure, to be compared with Python's.
nb::tuple read_blob_facts(nb::bytes data) {
  auto blob = read_blob(data.data(), data.size());
  if (!blob.ok()) return nb::make_tuple(error_code_name(blob.failure().code), blob.failure().message());
  return nb::make_tuple("Ok", blob.value().header.engine_offset, blob.value().engine_size,
                        blob.value().metadata.io_bindings.size(), blob.value().metadata.own.has_value());
}

/// For tests: name and bytes of every dtype, to be compared with Python's.
std::vector<std::pair<std::string, size_t>> dtypes() {
  std::vector<std::pair<std::string, size_t>> all;
  for (const Dtype& dtype : kDtypes) all.emplace_back(dtype.name, dtype.bytes);
  return all;
}

int64_t parse_decimal_bytes(nb::bytes text) {
  auto parsed = parse_decimal("value", text.data(), text.size());
  if (!parsed.ok())
    throw NativeError(error_code_name(parsed.failure().code), parsed.failure().subject, parsed.failure().found,
                      parsed.failure().expected, parsed.failure().next_step);
  return parsed.value();
}

void set_budgets_or_throw(const std::vector<uint64_t>& ids, const Options& options) {
  LoadOptions converted = to_load_options(options);
  const Unlocked unlocked;  // it waits for a run in flight
  clear_last_error();
  const auto error = set_budgets(ids, {converted.view().data(), converted.view().size()});
  if (error != executorch::runtime::Error::Ok) throw_error(error, "options", "options of the backend");
}

void set_defaults_or_throw(const Options& options) {
  LoadOptions converted = to_load_options(options);
  const Unlocked unlocked;  // another thread may log with its locks
  clear_last_error();
  const auto error = set_defaults({converted.view().data(), converted.view().size()});
  if (error != executorch::runtime::Error::Ok) throw_error(error, "options", "options of the backend");
}

int64_t automatic_budget_or_throw(const std::vector<uint64_t>& ids, std::optional<int64_t> margin) {
  const Unlocked unlocked;  // it waits for a run in flight
  clear_last_error();
  const auto bytes = automatic_budget(ids, margin);
  if (!bytes.ok()) throw_error(bytes.error(), "automatic budget", "engines that tell what they take");
  return bytes.get();
}

/// Opaque to Python.
struct SavedBudgets {
  std::vector<SavedBudget> budgets;
};

SavedBudgets save(const std::vector<uint64_t>& ids) {
  const Unlocked unlocked;  // it waits for a change in progress
  return {save_budgets(ids)};
}

void restore_or_throw(const SavedBudgets& saved) {
  const Unlocked unlocked;
  clear_last_error();
  const auto error = restore_budgets(saved.budgets);
  if (error != executorch::runtime::Error::Ok) throw_error(error, "budgets", "those that were saved");
}

void load_adapter_or_throw(const std::string& kind) {
  const Unlocked unlocked;  // another thread may log with its locks
  clear_last_error();
  const auto error = load_adapter(kind);
  if (error != executorch::runtime::Error::Ok) throw_error(error, "engine kind '" + kind + "'", "an adapter");
}

}  // namespace
}  // namespace torchtrt_ws::python

NB_MODULE(_native, m) {
  using namespace torchtrt_ws::python;
  wait_for_calls_at_exit();
  m.doc() = "The C++ side of torchtrt_ws; use torchtrt_ws.load().";

  static PyObject* error = PyErr_NewExceptionWithDoc(
      "torchtrt_ws._native.Error", "(code, subject, found, expected, next_step); the code is ExecuTorch's, by name.",
      nullptr, nullptr);
  m.attr("Error") = nb::borrow(error);
  nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
    try {
      std::rethrow_exception(pointer);
    } catch (const NativeError& failure) {
      PyErr_SetObject(
          error,
          nb::make_tuple(failure.code, failure.subject, failure.found, failure.expected, failure.next_step).ptr());
    }
  });

  nb::class_<Program>(m, "Program")
      .def(nb::init<const std::string&, const Options&, bool, const std::vector<std::string>&, bool>(), "path"_a,
           "options"_a, "mmap"_a = true, "data_files"_a = std::vector<std::string>(), "etdump"_a = false,
           nb::call_guard<Unlocked>())
      .def("load_method", &Program::load_method, "method"_a, nb::call_guard<Unlocked>())
      .def("engine_ids", &Program::engine_ids, nb::call_guard<Unlocked>())
      .def("close", &Program::close, nb::call_guard<Unlocked>())
      .def("etdump", &etdump)
      .def("execute", &execute, "method"_a, "inputs"_a, "outputs"_a = nb::none(), "stream"_a = nb::none(),
           "wait"_a = false);
  nb::class_<ExchangePath>(m, "ExchangePath")
      .def(nb::init<nb::type_object, std::string, const std::vector<DeclaredTensor>&,
                    const std::vector<DeclaredTensor>&, int>(),
           "type"_a, "method"_a, "inputs"_a, "outputs"_a, "device"_a)
      .def("call", &ExchangePath::call, "program"_a, "given"_a, "out"_a = nb::none());

  const nb::class_<SavedBudgets> saved_budgets(m, "SavedBudgets");
  m.def("save_budgets", &save, "ids"_a);
  m.def("restore_budgets", &restore_or_throw, "saved"_a);
  add_memory_functions(m);
  add_check_functions(m);
  add_refit_functions(m);
  m.def("automatic_budget", &automatic_budget_or_throw, "ids"_a, "margin"_a = nb::none());

  add_device_memory_functions(m);
  m.def("set_log_handler", &set_log_handler, "handler"_a.none());
  m.def("take_log_lines", &take_log_lines);
  m.def("set_leak_warnings", &nb::set_leak_warnings, "wanted"_a);
  m.def("last_event", [] { return reinterpret_cast<uintptr_t>(torchtrt_ws::last_event()); });
  m.def("dtypes", &dtypes);
  m.def("engine_report", &engine_report, "id"_a);
  m.def("load_adapter", &load_adapter_or_throw, "kind"_a);
  m.def("set_defaults", &set_defaults_or_throw, "options"_a);
  m.def("set_budgets", &set_budgets_or_throw, "ids"_a, "options"_a);
  m.def("parse_decimal", &parse_decimal_bytes, "text"_a);
  m.def("read_blob_facts", &read_blob_facts, "blob"_a);
}
