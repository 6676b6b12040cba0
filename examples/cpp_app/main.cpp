// A C++ program around torchtrt-ws: loads a .pte under a budget chosen now, runs a method, says where the weights are.

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/backend/backend_options_map.h>
#include <executorch/runtime/core/device_allocator.h>
#include <torchtrt_ws/engines.h>
#include <torchtrt_ws/last_error.h>
#include <torchtrt_ws/load_options.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <string>
#include <tuple>
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
using executorch::runtime::etensor::Device;
using executorch::runtime::etensor::DeviceIndex;
using executorch::runtime::etensor::DeviceType;
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

/// A copy between host and device, by ExecuTorch with the allocator that torchtrt-ws registers. It ends the process
/// where there is no such memory: ask for a little first.
TensorPtr moved(const TensorPtr& tensor, Device target) {
  auto* allocator = executorch::runtime::get_device_allocator(DeviceType::CUDA);
  if (allocator == nullptr) {
    throw Problem("--device: found no allocator for CUDA; leave TORCHTRT_WS_DEVICE_ALLOCATOR unset");
  }
  if (!target.is_cpu()) {
    const auto little = allocator->allocate(1, target.index());
    check(little.error(), "--device cuda:" + std::to_string(target.index()));
    allocator->deallocate(*little, target.index());
  }
  return executorch::extension::clone_tensor_ptr_to(tensor, target);
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
    TensorPtr input = read_tensor(flags.inputs.empty() ? "" : flags.inputs[i], *declared);
    if (flags.device >= 0) input = moved(input, Device(DeviceType::CUDA, static_cast<DeviceIndex>(flags.device)));
    inputs.push_back(std::move(input));
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

/// Memory for the outputs that the program has none for: those of device_io=True, which are the caller's, on the
/// inputs' device.
std::vector<TensorPtr> give_outputs(Module& module, const Flags& flags) {
  const auto meta = module.method_meta(flags.method);
  check(meta.error(), flags.method);
  std::vector<TensorPtr> given;
  for (size_t i = 0; flags.device >= 0 && i < meta->num_outputs(); ++i) {
    const auto declared = meta->output_tensor_meta(i);
    if (!declared.ok() || declared->is_memory_planned()) continue;
    given.push_back(
        moved(read_tensor("", *declared), Device(DeviceType::CUDA, static_cast<DeviceIndex>(flags.device))));
    check(module.set_output(flags.method, given.back(), i), "output " + std::to_string(i));
  }
  return given;
}

/// Runs the method `flags.repeat` times: what it gave last, and the seconds of each run.
std::pair<std::vector<EValue>, std::vector<double>> execute(Module& module, const Flags& flags,
                                                            const std::vector<EValue>& inputs) {
  std::pair<std::vector<EValue>, std::vector<double>> found;
  for (long i = 0; i < flags.repeat; ++i) {
    const auto begin = Clock::now();
    auto result = module.execute(flags.method, inputs);
    check(result.error(), "method '" + flags.method + "'");
    found.second.push_back(seconds_since(begin));
    found.first = std::move(*result);
  }
  return found;
}

/// While the program stays loaded: waits for runs in flight, and puts the old budgets back if these do not fit.
void change_budgets(const std::string& text) {
  torchtrt_ws::LoadOptions options;
  add_total(options, text);
  std::vector<uint64_t> ids;
  for (const torchtrt_ws::EngineReport& engine : torchtrt_ws::engines()) ids.push_back(engine.id);
  check(torchtrt_ws::set_budgets(ids, {options.view().data(), options.view().size()}), "--then-budget");
}

void write(const std::string& folder, const std::vector<EValue>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].isTensor()) continue;
    const auto tensor = outputs[i].toTensor();
    const TensorPtr on_host = tensor.device().is_cpu()
                                  ? nullptr
                                  : moved(executorch::extension::make_tensor_ptr(tensor), Device(DeviceType::CPU));
    write_tensor(folder, i, on_host ? *on_host : tensor);
  }
}

void run(const Flags& flags) {
  const auto start = Clock::now();
  Module module(flags.program, flags.map ? Module::LoadMode::Mmap : Module::LoadMode::File);
  load(module, flags);
  const double load_seconds = seconds_since(start);

  const std::vector<TensorPtr> tensors = read_inputs(module, flags);
  const std::vector<TensorPtr> given = give_outputs(module, flags);
  const std::vector<EValue> inputs(tensors.begin(), tensors.end());
  auto [outputs, seconds] = execute(module, flags, inputs);
  if (!flags.then_budget.empty()) {
    change_budgets(flags.then_budget);
    std::tie(outputs, seconds) = execute(module, flags, inputs);
  }
  if (!flags.output.empty()) write(flags.output, outputs);

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
