#include "python/check_functions.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <utility>
#include <vector>

#include "program/program_file.h"
#include "python/program.h"
#include "python/unlocked.h"
#include "torchtrt_ws/check.h"
#include "torchtrt_ws/last_error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace torchtrt_ws::python {
namespace {

/// Text of a file, as torchtrt_ws.pte shows it.
nb::object shown(const std::string& text) {
  return nb::steal(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
}

nb::list in_python(const std::vector<CheckFact>& facts) {
  nb::list list;
  for (const CheckFact& fact : facts) {
    nb::dict bytes;
    for (const auto& [name, count] : fact.bytes) bytes[name.c_str()] = count;
    list.append(nb::make_tuple(fact.name, verdict_name(fact.verdict), shown(fact.found), shown(fact.remedy), bytes));
  }
  return list;
}

/// (facts of the program, [(name, method, kind, facts), ...]); a fact is (name, verdict, found, remedy, bytes).
nb::tuple check_or_throw(const std::string& path, const Options& options, bool digests) {
  const CheckReport report = [&] {
    LoadOptions converted = to_load_options(options);
    const Unlocked unlocked;  // it may read all of the file, and adapters log
    clear_last_error();
    auto found = check(path, {converted.view().data(), converted.view().size()}, digests);
    if (!found.ok()) throw_error(found.error(), path, "a program");
    return std::move(found.get());
  }();
  nb::list engines;
  for (const EngineCheck& engine : report.engines) {
    engines.append(
        nb::make_tuple(shown(engine.name), shown(engine.method), shown(engine.kind), in_python(engine.facts)));
  }
  return nb::make_tuple(in_python(report.facts), engines);
}

nb::list survey_or_throw(const std::string& kind) {
  const std::vector<CheckFact> facts = [&kind] {
    const Unlocked unlocked;  // it loads libraries, which may log
    clear_last_error();
    auto found = survey(kind);
    if (!found.ok()) throw_error(found.error(), "engine kind '" + kind + "'", "an adapter");
    return std::move(found.get());
  }();
  return in_python(facts);
}

/// For tests: the C++ reader's view of a program, or the failure, to be compared with Python's.
nb::object program_delegates(const std::string& path) {
  auto program = ProgramFile::open(path);
  if (!program.ok()) return nb::cast(program.failure().message());
  nb::list delegates;
  for (const DelegateRecord& each : program.value().delegates()) {
    nb::list specs;
    for (const BakedSpec& spec : each.specs) {
      specs.append(nb::make_tuple(shown(spec.key), nb::bytes(spec.value.data(), spec.value.size())));
    }
    delegates.append(nb::make_tuple(shown(each.method), shown(each.backend), each.offset, each.size, specs));
  }
  return delegates;
}

}  // namespace

void add_check_functions(nb::module_& module) {
  module.def("check", &check_or_throw, "path"_a, "options"_a, "digests"_a);
  module.def("survey", &survey_or_throw, "kind"_a);
  module.def("program_delegates", &program_delegates, "path"_a);
}

}  // namespace torchtrt_ws::python
