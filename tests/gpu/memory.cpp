// What the GPU report asks of a program's memory. One JSON object on stdout; sizes are bytes.
//
//   memory split --program FILE --free N [--runs 20] METHOD...
//     the device filled until N bytes are free, then the methods loaded in this order with nothing given: budget and
//     microseconds of each engine, and what is left
//   memory copies --program FILE --copies N METHOD
//     the program loaded N times in this process, with shared engines and without: memory on the device and the host
//   memory activation --program FILE --percent P [--runs 20] METHOD...
//     the methods loaded with P percent of each engine's weights on the device, their execution contexts in one block
//     and apart: memory on the device, and microseconds of each engine
//   memory contexts --program FILE --contexts N --percent P --seconds S METHOD
//     N threads, each with a module of its own on the one file and so on one copy of the weights, P percent of them on
//     the device: calls a second of all together, and memory on the device

#include <executorch/runtime/platform/runtime.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "nlohmann/json.hpp"
#include "program.h"
#include "torchtrt_ws/adapter.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_options.h"

namespace {

using namespace torchtrt_ws::gpu;
using executorch::runtime::Error;
using Json = nlohmann::ordered_json;
using torchtrt_ws::LoadOptions;

struct Arguments {
  std::string what, program;
  int64_t free = 0;
  int copies = 1, contexts = 1, percent = 100, runs = 20;
  double seconds = 1;
  std::vector<std::string> methods;
};

Arguments read_arguments(int argc, char** argv) {
  Arguments arguments;
  if (argc < 2) die("needs split, copies, activation or contexts");
  arguments.what = argv[1];
  for (int i = 2; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag.rfind("--", 0) != 0) {
      arguments.methods.push_back(flag);
      continue;
    }
    if (++i == argc) die(flag + " misses its value");
    const std::string value = argv[i];
    if (flag == "--program")
      arguments.program = value;
    else if (flag == "--free")
      arguments.free = std::stoll(value);
    else if (flag == "--copies")
      arguments.copies = std::stoi(value);
    else if (flag == "--contexts")
      arguments.contexts = std::stoi(value);
    else if (flag == "--percent")
      arguments.percent = std::stoi(value);
    else if (flag == "--seconds")
      arguments.seconds = std::stod(value);
    else if (flag == "--runs")
      arguments.runs = std::stoi(value);
    else
      die("does not know " + flag);
  }
  if (arguments.methods.empty()) die("needs a method");
  return arguments;
}

int64_t host_rss() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::stoll(line.substr(6)) * 1024;
  }
  return -1;
}

Json split(const Arguments& arguments) {
  {  // what the libraries keep for the process is there before the device is filled
    Program warm(arguments.program, LoadOptions().set_percent(0));
    if (warm.load(arguments.methods.back()) != Error::Ok || !warm.runs_right(arguments.methods.back())) {
      die(torchtrt_ws::last_error().message);
    }
  }
  fill(arguments.free);
  Json result = {{"free", free_on_device()}};
  Program program(arguments.program, LoadOptions());
  std::vector<std::string> failed;
  for (const std::string& method : arguments.methods) {
    if (program.load(method) != Error::Ok) failed.push_back(method + ": " + torchtrt_ws::last_error().message);
  }
  result["failed"] = failed;
  result["left_after_loading"] = free_on_device();
  result["engines"] = Json::array();
  for (const auto& report : torchtrt_ws::engines()) {
    result["engines"].push_back({{"method", report.method},
                                 {"streamable", report.streamable_bytes},
                                 {"budget", report.budget_bytes},
                                 {"scratch", report.scratch_bytes},
                                 {"us", median_us(program, report.method, arguments.runs)}});
  }
  result["left"] = free_on_device();
  return result;
}

Json copies(const Arguments& arguments) {
  Json result;
  for (const bool shared : {true, false}) {
    {
      Program warm(arguments.program, LoadOptions());
      if (warm.load(arguments.methods[0]) != Error::Ok) die(torchtrt_ws::last_error().message);
    }
    Json rows = Json::array();
    const int64_t free = free_on_device(), rss = host_rss();
    std::vector<std::unique_ptr<Program>> programs;
    for (int i = 0; i < arguments.copies; ++i) {
      LoadOptions options;
      options.set_share_engines(shared);
      const auto start = Clock::now();
      programs.push_back(std::make_unique<Program>(arguments.program, options));
      if (programs.back()->load(arguments.methods[0]) != Error::Ok) die(torchtrt_ws::last_error().message);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      bool right = true;
      for (auto& program : programs) right = right && program->runs_right(arguments.methods[0]);
      rows.push_back({{"device", free - free_on_device()},
                      {"host", host_rss() - rss},
                      {"load_seconds", seconds},
                      {"right", right}});
    }
    result[shared ? "shared" : "apart"] = rows;
  }
  return result;
}

Json activation(const Arguments& arguments) {
  Json result = {{"percent", arguments.percent}};
  for (const bool shared : {true, false}) {
    {
      Program warm(arguments.program, LoadOptions());
      if (warm.load(arguments.methods[0]) != Error::Ok) die(torchtrt_ws::last_error().message);
    }
    const int64_t free = free_on_device();
    Program program(arguments.program, LoadOptions().set_percent(arguments.percent).set_share_scratch(shared));
    for (const std::string& method : arguments.methods) {
      if (program.load(method) != Error::Ok) die(torchtrt_ws::last_error().message);
    }
    Json engines = Json::array();
    for (const auto& report : torchtrt_ws::engines()) {
      engines.push_back({{"method", report.method},
                         {"streamable", report.streamable_bytes},
                         {"budget", report.budget_bytes},
                         {"us", median_us(program, report.method, arguments.runs)}});
    }
    bool right = true;  // each after the others worked in the same memory
    for (const std::string& method : arguments.methods) right = right && program.runs_right(method);
    result[shared ? "block" : "apart"] = {{"device", free - free_on_device()}, {"right", right}, {"engines", engines}};
  }
  return result;
}

struct Caller {
  std::unique_ptr<Program> program;
  int64_t calls = 0, wrong = 0;
};

/// All threads begin together; `seconds` is over when the last call ends.
double call_for(double seconds, const std::string& method, std::vector<Caller>& callers) {
  std::atomic<bool> begun{false};
  std::vector<std::thread> threads;
  for (Caller& caller : callers) {
    threads.emplace_back([&] {
      while (!begun) std::this_thread::yield();
      const auto end = Clock::now() + std::chrono::duration<double>(seconds);
      do {
        if (!caller.program->runs_right(method)) ++caller.wrong;
        ++caller.calls;
      } while (Clock::now() < end);
    });
  }
  const auto start = Clock::now();
  begun = true;
  for (std::thread& thread : threads) thread.join();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Json contexts(const Arguments& arguments) {
  const std::string& method = arguments.methods[0];
  const int64_t free = free_on_device();
  std::vector<Caller> callers;
  for (int i = 0; i < arguments.contexts; ++i) {
    callers.push_back({std::make_unique<Program>(arguments.program, LoadOptions().set_percent(arguments.percent))});
    if (callers.back().program->load(method) != Error::Ok) die(torchtrt_ws::last_error().message);
  }
  (void)call_for(arguments.seconds / 10, method, callers);  // staging and clocks
  const int64_t taken = free - free_on_device();
  for (Caller& caller : callers) caller.calls = 0;
  const double seconds = call_for(arguments.seconds, method, callers);
  const auto reports = torchtrt_ws::engines();
  Json result = {{"contexts", arguments.contexts}, {"percent", arguments.percent}, {"device", taken}};
  int64_t calls = 0, wrong = 0;
  std::vector<int64_t> by_thread;
  for (const Caller& caller : callers) {
    calls += caller.calls;
    wrong += caller.wrong;
    by_thread.push_back(caller.calls);
  }
  result["streamable"] = reports.at(0).streamable_bytes;
  result["budget"] = reports.at(0).budget_bytes;
  result["sharing"] = reports.at(0).shared_with.size() + 1;
  result["calls"] = by_thread;
  result["wrong"] = wrong;
  result["calls_per_second"] = static_cast<double>(calls) / seconds;
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = read_arguments(argc, argv);
  executorch::runtime::runtime_init();
  check(cudaFree(nullptr), "CUDA");
  if (torchtrt_ws::load_adapter("tensorrt") != Error::Ok) die(torchtrt_ws::last_error().message);
  const Json result = arguments.what == "split"        ? split(arguments)
                      : arguments.what == "copies"     ? copies(arguments)
                      : arguments.what == "activation" ? activation(arguments)
                      : arguments.what == "contexts"   ? contexts(arguments)
                                                       : Json();
  if (result.is_null()) die("does not know " + arguments.what);
  std::printf("%s\n", result.dump().c_str());
  return 0;
}
