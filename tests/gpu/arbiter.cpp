// What the GPU report asks of the arbiter. One JSON object on stdout; sizes are bytes.
//
//   arbiter --program FILE --room N [--percent P] [--repeats 3] METHOD...
//     the methods loaded afresh; N bytes more made free than are, and given back; put to sleep, and woken: after each
//     the time it took, memory on the device by cudaMemGetInfo, the engines' budgets, and whether they run right

#include <executorch/runtime/platform/runtime.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "program.h"
#include "torchtrt_ws/adapter.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"
#include "torchtrt_ws/memory.h"

namespace {

using namespace torchtrt_ws::gpu;
using Json = nlohmann::ordered_json;
using torchtrt_ws::LoadOptions;

struct Arguments {
  std::string program;
  int64_t room = 0;
  std::optional<int> percent;
  int repeats = 3;
  std::vector<std::string> methods;
};

Arguments read_arguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag.rfind("--", 0) != 0) {
      arguments.methods.push_back(flag);
      continue;
    }
    if (++i == argc) die(flag + " misses its value");
    const std::string value = argv[i];
    if (flag == "--program")
      arguments.program = value;
    else if (flag == "--room")
      arguments.room = std::stoll(value);
    else if (flag == "--percent")
      arguments.percent = std::stoi(value);
    else if (flag == "--repeats")
      arguments.repeats = std::stoi(value);
    else
      die("does not know " + flag);
  }
  if (arguments.methods.empty()) die("needs a method");
  return arguments;
}

LoadOptions options_of(const Arguments& arguments) {
  LoadOptions options;
  if (arguments.percent) options.set_percent(*arguments.percent);
  return options;
}

void load_all(Program& program, const std::vector<std::string>& methods) {
  for (const std::string& method : methods) {
    if (program.load(method) != Error::Ok) die(torchtrt_ws::last_error().message);
  }
}

std::vector<uint64_t> ids() {
  std::vector<uint64_t> all;
  for (const auto& report : torchtrt_ws::engines()) all.push_back(report.id);
  return all;
}

/// One life of a program, step by step.
class Life {
 public:
  explicit Life(const Arguments& arguments) : arguments_(arguments), free_(free_on_device()) {}

  /// Does a step, which returns its failure or nothing, and looks at what is there then.
  void step(const char* name, const std::function<std::string()>& what) {
    const int64_t before = free_on_device();
    const auto start = Clock::now();
    const std::string failed = what();
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    const int64_t after = free_on_device();
    Json row = {{"step", name}, {"ms", ms}, {"freed", after - before}, {"device", free_ - after}};
    if (!failed.empty()) row["failed"] = failed;
    row["right"] = Json::array();
    for (const std::string& method : arguments_.methods) row["right"].push_back(program_->runs_right(method));
    row["device_after_runs"] = free_ - free_on_device();
    row["engines"] = Json::array();
    for (const auto& report : torchtrt_ws::engines()) {
      row["engines"].push_back({{"name", report.name},
                                {"streamable", report.streamable_bytes},
                                {"budget", report.budget_bytes},
                                {"wanted", report.wanted_bytes},
                                {"source", report.source},
                                {"asleep", report.asleep},
                                {"device", report.device_bytes}});
    }
    rows_.push_back(row);
  }

  Json run() {
    const auto words = [](Error error) {
      return error == Error::Ok ? std::string() : torchtrt_ws::last_error().message;
    };
    step("load", [&] {
      program_.emplace(arguments_.program, options_of(arguments_));
      load_all(*program_, arguments_.methods);
      return std::string();
    });
    const std::string device = torchtrt_ws::engines().at(0).device;
    step("make_room",
         [&] { return words(torchtrt_ws::make_room(device, free_on_device() + arguments_.room).error()); });
    step("give_back", [&] { return words(torchtrt_ws::give_back().error()); });
    step("sleep", [&] { return words(torchtrt_ws::sleep(ids())); });
    step("wake", [&] { return words(torchtrt_ws::wake(ids())); });
    program_.reset();
    return {{"steps", rows_}, {"not_given_back", free_ - free_on_device()}};
  }

 private:
  const Arguments& arguments_;
  const int64_t free_;  // before the program
  std::optional<Program> program_;
  Json rows_ = Json::array();
};

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = read_arguments(argc, argv);
  executorch::runtime::runtime_init();
  check(cudaFree(nullptr), "CUDA");
  if (torchtrt_ws::load_adapter("tensorrt") != Error::Ok) die(torchtrt_ws::last_error().message);
  {  // what the libraries keep for the process is there before anything is counted
    Program warm(arguments.program, options_of(arguments));
    load_all(warm, arguments.methods);
    for (const std::string& method : arguments.methods) (void)warm.runs_right(method);
  }
  Json result = {{"room", arguments.room}, {"lives", Json::array()}};
  for (int i = 0; i < arguments.repeats; ++i) result["lives"].push_back(Life(arguments).run());
  std::printf("%s\n", result.dump().c_str());
  return 0;
}
