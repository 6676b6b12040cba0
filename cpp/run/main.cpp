// torchtrt_ws_run: the C++ way to a program, as a deployment goes it: Module::load(LoadBackendOptionsMap), then
// execute.

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/backend/backend_options_map.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "engine/dtype.h"
#include "nlohmann/json.hpp"
#include "run/arguments.h"
#include "run/npy.h"
#include "torchtrt_ws/adapter.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"

namespace torchtrt_ws::run {
namespace {

using executorch::extension::Module;
using executorch::extension::TensorPtr;
using executorch::runtime::Error;
using executorch::runtime::EValue;

struct Outcome {
  double load_seconds = 0;
  std::vector<double> run_seconds;  // sorted
  std::vector<EValue> outputs;
};

const char* dtype_name(executorch::aten::ScalarType type) {
  const Dtype* dtype = find_dtype(type);
  return dtype == nullptr ? "unknown" : dtype->name;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The delegate's words if it spoke, else ExecuTorch's code.
Failure failed(const std::string& step, Error error) {
  const LastError last = last_error();
  if (last.error == error) return {ErrorCode::EngineFault, last.subject, last.found, last.expected, last.next_step};
  return {ErrorCode::EngineFault, step, std::string(executorch::runtime::to_string(error)) + " from ExecuTorch", "",
          "ExecuTorch's own log lines above say more"};
}

/// Zeros of the shapes that the method declares: a run without inputs shows that it runs, and how fast.
Result<std::vector<Array>> zero_inputs(Module& module, const std::string& method) {
  const auto meta = module.method_meta(method);
  if (!meta.ok()) return failed("method '" + method + "'", meta.error());
  std::vector<Array> arrays;
  for (size_t i = 0; i < meta->num_inputs(); ++i) {
    const auto tensor = meta->input_tensor_meta(i);
    if (!tensor.ok()) return failed("input " + std::to_string(i), tensor.error());
    arrays.push_back(
        {tensor->scalar_type(), {tensor->sizes().begin(), tensor->sizes().end()}, std::vector<char>(tensor->nbytes())});
  }
  return arrays;
}

Result<std::vector<Array>> read_inputs(Module& module, const Arguments& arguments) {
  if (arguments.inputs.empty()) return zero_inputs(module, arguments.method);
  std::vector<Array> arrays;
  for (const std::string& path : arguments.inputs) {
    auto array = read_npy(path);
    if (!array.ok()) return std::move(array).failure();
    arrays.push_back(std::move(array).value());
  }
  return arrays;
}

/// "float32[2, 1024], int64[8]": dtype and largest shape of each input.
std::string declared_inputs(Module& module, const std::string& method) {
  const auto meta = module.method_meta(method);
  std::string text;
  for (size_t i = 0; meta.ok() && i < meta->num_inputs(); ++i) {
    const auto tensor = meta->input_tensor_meta(i);
    if (!tensor.ok()) continue;
    std::string sizes;
    for (const auto size : tensor->sizes()) sizes += (sizes.empty() ? "" : ", ") + std::to_string(size);
    text += (text.empty() ? "" : ", ") + std::string(dtype_name(tensor->scalar_type())) + "[" + sizes + "]";
  }
  return text;
}

Status load(Module& module, const Arguments& arguments, Outcome& outcome) {
  LoadOptions options;
  for (const auto& [key, value] : arguments.options) {
    if (key == "cuda_graph") {
      options.set_cuda_graph(value == "true" || value == "1");
    } else {
      options.add_text(key, value);
    }
  }
  executorch::runtime::LoadBackendOptionsMap map;
  Error error = options.add_to(map);
  if (error != Error::Ok) {
    return Failure{ErrorCode::BadOption, "--option", "a key or value longer than ExecuTorch holds",
                   "keys to 63 bytes, values to 255", "Shorten it"};
  }
  const auto start = std::chrono::steady_clock::now();
  error = module.load(map);
  if (error != Error::Ok) return failed(arguments.program, error);
  error = module.load_method(arguments.method);
  if (error != Error::Ok) return failed("method '" + arguments.method + "'", error);
  outcome.load_seconds = seconds_since(start);
  return ok_status();
}

Status execute(Module& module, const Arguments& arguments, std::vector<Array>& arrays, Outcome& outcome) {
  std::vector<TensorPtr> tensors;
  std::vector<EValue> values;
  for (Array& array : arrays) {
    tensors.push_back(executorch::extension::make_tensor_ptr(array.shape, array.data.data(), array.dtype));
    values.emplace_back(tensors.back());
  }
  for (int i = 0; i < arguments.repeat; ++i) {
    const auto start = std::chrono::steady_clock::now();
    auto results = module.execute(arguments.method, values);
    if (!results.ok()) {
      Failure failure = failed("method '" + arguments.method + "'", results.error());
      if (failure.expected.empty())
        failure.expected = "inputs as declared: " + declared_inputs(module, arguments.method);
      return failure;
    }
    outcome.run_seconds.push_back(seconds_since(start));
    outcome.outputs = std::move(results.get());
  }
  std::sort(outcome.run_seconds.begin(), outcome.run_seconds.end());
  return ok_status();
}

Status write_outputs(const std::string& folder, const std::vector<EValue>& outputs) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].isTensor()) continue;
    Status written = write_npy(folder + "/output" + std::to_string(i) + ".npy", outputs[i].toTensor());
    if (!written.ok()) return written;
  }
  return ok_status();
}

int64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

nlohmann::ordered_json to_json(const EngineReport& report) {
  return {{"name", report.name},
          {"method", report.method},
          {"kind", report.kind},
          {"streamable_bytes", report.streamable_bytes},
          {"budget_bytes", report.budget_bytes},
          {"source", report.source},
          {"scratch_bytes", report.scratch_bytes},
          {"device_bytes", report.device_bytes},
          {"runs", report.runs},
          {"seconds", report.seconds}};
}

void print_json(const Arguments& arguments, const Outcome& outcome) {
  nlohmann::ordered_json json = {{"file", arguments.program},
                                 {"method", arguments.method},
                                 {"load_seconds", outcome.load_seconds},
                                 {"run_seconds", outcome.run_seconds[outcome.run_seconds.size() / 2]},
                                 {"runs", outcome.run_seconds.size()},
                                 {"peak_bytes", peak_bytes()}};
  json["outputs"] = nlohmann::ordered_json::array();
  for (const EValue& output : outcome.outputs) {
    if (!output.isTensor()) continue;
    const auto tensor = output.toTensor();
    json["outputs"].push_back({{"dtype", dtype_name(tensor.scalar_type())},
                               {"shape", std::vector<int64_t>(tensor.sizes().begin(), tensor.sizes().end())}});
  }
  json["engines"] = nlohmann::ordered_json::array();
  for (const EngineReport& report : engines()) json["engines"].push_back(to_json(report));
  std::printf("%s\n", json.dump(2).c_str());
}

void print_text(const Arguments& arguments, const Outcome& outcome) {
  std::printf("%s: loaded in %.3f s, one run %.3f ms (median of %zu)\n", arguments.program.c_str(),
              outcome.load_seconds, outcome.run_seconds[outcome.run_seconds.size() / 2] * 1e3,
              outcome.run_seconds.size());
  for (const EngineReport& report : engines()) {
    std::printf("  %s (%s): budget %lld of %lld streamable bytes, %s; on the device %lld bytes\n", report.name.c_str(),
                report.kind.c_str(), static_cast<long long>(report.budget_bytes),
                static_cast<long long>(report.streamable_bytes), report.source.c_str(),
                static_cast<long long>(report.device_bytes));
  }
}

Status run(const Arguments& arguments) {
  Module module(arguments.program, arguments.mmap ? Module::LoadMode::Mmap : Module::LoadMode::File);
  Outcome outcome;
  if (!arguments.adapter.empty()) {
    const Error error = load_adapter(arguments.adapter);
    if (error != Error::Ok) return failed("--adapter " + arguments.adapter, error);
  }
  Status done = load(module, arguments, outcome);
  if (!done.ok()) return done;
  auto inputs = read_inputs(module, arguments);
  if (!inputs.ok()) return std::move(inputs).failure();
  done = execute(module, arguments, inputs.value(), outcome);
  if (done.ok() && !arguments.output_folder.empty()) done = write_outputs(arguments.output_folder, outcome.outputs);
  if (!done.ok()) return done;
  arguments.json ? print_json(arguments, outcome) : print_text(arguments, outcome);
  return done;
}

}  // namespace
}  // namespace torchtrt_ws::run

int main(int argc, char** argv) {
  const auto arguments = torchtrt_ws::run::parse_arguments(argc, argv);
  if (!arguments.ok()) {
    std::fprintf(stderr, "%s\n", arguments.failure().message().c_str());
    return 2;
  }
  if (arguments.value().help) {
    std::fputs(torchtrt_ws::run::kUsage, stdout);
    return 0;
  }
  const auto done = torchtrt_ws::run::run(arguments.value());
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.failure().message().c_str());
  return done.ok() ? 0 : 1;
}
