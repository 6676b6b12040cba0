// A C++ program around torchtrt-ws: loads a .pte under a budget chosen now, runs a method, says where the weights are.

#include <executorch/extension/module/module.h>
#include <executorch/runtime/backend/backend_options_map.h>
#include <torchtrt_ws/engines.h>
#include <torchtrt_ws/last_error.h>
#include <torchtrt_ws/load_options.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "command_line.h"
#include "raw_tensors.h"

namespace {

using executorch::extension::Module;
using executorch::extension::TensorPtr;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::Program;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// ExecuTorch carries a code; the delegate has the words.
void check(Error error, const std::string& what) {
  if (error == Error::Ok) return;
  const torchtrt_ws::LastError last = torchtrt_ws::last_error();
  if (last.error == error) throw Problem(last.message);
  throw Problem(what + ": " + executorch::runtime::to_string(error) + "; ExecuTorch's log lines say more");
}

void load(Module& module, const Flags& flags) {
  torchtrt_ws::LoadOptions options = load_options(flags);
  executorch::runtime::LoadBackendOptionsMap map;
  if (options.add_to(map) != Error::Ok) throw Problem("found an option over 63 bytes of key or 255 bytes of value");
  // ExecuTorch's default, Minimal, takes a damaged program at its word and crashes.
  check(module.load(map, Program::Verification::InternalConsistency), flags.program);
  check(module.load_method(flags.method), "method '" + flags.method + "'");
}

/// The method's inputs, from the files or as zeros.
std::vector<TensorPtr> read_inputs(Module& module, const Flags& flags) {
  const auto meta = module.method_meta(flags.method);
  check(meta.error(), flags.method);
  if (!flags.inputs.empty() && flags.inputs.size() != meta->num_inputs()) {
    throw Problem("found " + std::to_string(flags.inputs.size()) + " --input; expected " +
                  std::to_string(meta->num_inputs()));
  }
  std::vector<TensorPtr> inputs;
  for (size_t i = 0; i < meta->num_inputs(); ++i) {
    const auto declared = meta->input_tensor_meta(i);
    check(declared.error(), "input " + std::to_string(i) + ", which must be a tensor");
    inputs.push_back(read_tensor(flags.inputs.empty() ? "" : flags.inputs[i], *declared));
  }
  return inputs;
}

void report(const std::vector<EValue>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].isTensor()) continue;
    const auto tensor = outputs[i].toTensor();
    std::printf("output=%zu\t%s\n", i, described(tensor, '\t').c_str());
  }
  for (const torchtrt_ws::EngineReport& engine : torchtrt_ws::engines()) {
    std::printf(
        "engine=%s\tkind=%s\tstreamable_bytes=%" PRId64 "\tbudget_bytes=%" PRId64 "\tsource=%s\tscratch_bytes=%" PRId64
        "\tdevice_bytes=%" PRId64 "\truns=%" PRIu64 "\tcontext_seconds=%.6f\tcache_hits=%" PRIu64 "\n",
        engine.name.c_str(), engine.kind.c_str(), engine.streamable_bytes, engine.budget_bytes, engine.source.c_str(),
        engine.scratch_bytes, engine.device_bytes, engine.runs, engine.context_seconds, engine.cache_hits);
  }
}

void run(const Flags& flags) {
  const auto start = Clock::now();
  Module module(flags.program, flags.map ? Module::LoadMode::Mmap : Module::LoadMode::File);
  load(module, flags);
  const double load_seconds = seconds_since(start);

  const std::vector<TensorPtr> tensors = read_inputs(module, flags);
  const std::vector<EValue> inputs(tensors.begin(), tensors.end());
  std::vector<EValue> outputs;
  std::vector<double> seconds;
  for (long i = 0; i < flags.repeat; ++i) {
    const auto begin = Clock::now();
    auto result = module.execute(flags.method, inputs);
    check(result.error(), "method '" + flags.method + "'");
    seconds.push_back(seconds_since(begin));
    outputs = std::move(*result);
  }
  if (!flags.output.empty()) {
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].isTensor()) write_tensor(flags.output, i, outputs[i].toTensor());
    }
  }

  std::sort(seconds.begin(), seconds.end());
  std::printf("method=%s\tload_seconds=%g\trun_seconds=%g\n", flags.method.c_str(), load_seconds,
              seconds[seconds.size() / 2]);
  report(outputs);
}

}  // namespace

int main(int argc, char** argv) {
  const Flags flags = parse(argc, argv);
  try {
    run(flags);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "cpp_app: %s\n", problem.what());
    return 1;
  }
  return 0;
}
