// What the command line asks for.
#pragma once

#include <getopt.h>
#include <torchtrt_ws/load_options.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

inline constexpr char kUsage[] = R"(usage: cpp_app PROGRAM.pte [flags]
  --weight-streaming-budget B             the program's total: BYTES, N%, auto or free-BYTES
  --weight-streaming-budget-per-engine B  BYTES for each engine; or NAME=BYTES, repeated, for some
  --then-budget B                         after the runs, another total; then as many runs again
  --device cuda:N                         inputs go to this device before the runs, for programs saved with device_io=True
  --option KEY=VALUE                      a load-time option of the backend; repeated, for more
  --method NAME                           the method to run (forward)
  --input FILE[:2x32]                     raw bytes (numpy's tofile) of the declared dtype and largest shape, or of this
                                          smaller one; repeated, for each input. None at all: zeros
  --output DIR                            write the outputs there in the same form: output0.bin, output1.bin, ...
  --repeat N                              runs; the median is reported (1)
  --load-mode mmap|file                   map the program, or read it into memory (mmap)
stdout: lines of KEY=VALUE, separated by tabs. Exit code: 0 done; 1 a problem; 2 wrong usage.
)";

using Problem = std::runtime_error;  // exit code 1

struct Flags {
  std::string program, method = "forward", output, then_budget;
  std::vector<std::string> inputs, totals, per_engine, options;
  long repeat = 1;
  int device = -1;  // of CUDA; -1: none
  bool map = true;
};

/// Wrong usage, about which getopt or `words` have spoken; or --help.
[[noreturn]] inline void leave(int exit_code, const std::string& words = "") {
  std::fprintf(exit_code == 0 ? stdout : stderr, "%s%s", words.c_str(), kUsage);
  std::exit(exit_code);
}

/// N of "cuda:N"; -1 for anything else.
inline int cuda_index(const std::string& text) {
  const bool is_one = text.size() == 6 && text.compare(0, 5, "cuda:") == 0 && text[5] >= '0' && text[5] <= '9';
  return is_one ? text[5] - '0' : -1;
}

inline Flags parse(int argc, char** argv) {
  const option known[] = {{"weight-streaming-budget", required_argument, nullptr, 'b'},
                          {"weight-streaming-budget-per-engine", required_argument, nullptr, 'e'},
                          {"then-budget", required_argument, nullptr, 't'},
                          {"device", required_argument, nullptr, 'd'},
                          {"option", required_argument, nullptr, 'k'},
                          {"method", required_argument, nullptr, 'm'},
                          {"input", required_argument, nullptr, 'i'},
                          {"output", required_argument, nullptr, 'o'},
                          {"repeat", required_argument, nullptr, 'n'},
                          {"load-mode", required_argument, nullptr, 'l'},
                          {"help", no_argument, nullptr, 'h'},
                          {}};
  Flags flags;
  char* end = nullptr;
  for (int flag = 0; (flag = getopt_long(argc, argv, "h", known, nullptr)) != -1;) {
    const std::string value = optarg != nullptr ? optarg : "";
    switch (flag) {
        // clang-format off
      case 'b': flags.totals.push_back(value); break;
      case 'e': flags.per_engine.push_back(value); break;
      case 't': flags.then_budget = value; break;
      case 'd': flags.device = cuda_index(value); break;
      case 'k': flags.options.push_back(value); break;
      case 'm': flags.method = value; break;
      case 'i': flags.inputs.push_back(value); break;
      case 'o': flags.output = value; break;
      case 'n': flags.repeat = std::strtol(value.c_str(), &end, 10); break;
      case 'l': flags.map = value == "mmap"; break;
      case 'h': leave(0);
      default: leave(2);
        // clang-format on
    }
    if (flag == 'd' && flags.device < 0) leave(2, "cpp_app: --device '" + value + "'\n");
    if (flag == 'n' && (*end != '\0' || flags.repeat < 1)) leave(2, "cpp_app: --repeat '" + value + "'\n");
    if (flag == 'l' && value != "mmap" && value != "file") leave(2, "cpp_app: --load-mode '" + value + "'\n");
    if (flag == 'k' && value.find('=') == value.npos) leave(2, "cpp_app: --option '" + value + "'\n");
  }
  if (argc - optind != 1) leave(2, "cpp_app: expected one PROGRAM.pte\n");
  flags.program = argv[optind];
  return flags;
}

/// A budget for the program, as people write it.
inline void add_total(torchtrt_ws::LoadOptions& options, const std::string& text) {
  if (text == "auto") {
    options.set_reserve(0);  // beats a baked budget; no option at all would not
  } else if (text.size() > 5 && text.compare(0, 5, "free-") == 0) {
    options.add_text("weight_streaming_reserve", text.substr(5));
  } else if (text.size() > 1 && text.back() == '%') {
    options.add_text("weight_streaming_percent", text.substr(0, text.size() - 1));
  } else {
    options.add_text("weight_streaming_total_budget", text);
  }
}

/// Numbers go as text: the delegate reads them, and says what is wrong with one. A program that has them as numbers
/// calls set_total_budget(), set_percent() and so on.
inline torchtrt_ws::LoadOptions load_options(const Flags& flags) {
  torchtrt_ws::LoadOptions options;
  if (!flags.totals.empty() && !flags.per_engine.empty()) {
    throw Problem("found --weight-streaming-budget and --weight-streaming-budget-per-engine; expected one of them");
  }
  for (const std::string& text : flags.totals) add_total(options, text);
  for (const std::string& text : flags.per_engine) {
    const size_t equals = text.find('=');
    const std::string engine = equals == text.npos ? "" : "." + text.substr(0, equals);
    options.add_text("weight_streaming_budget" + engine, text.substr(equals + 1));  // npos + 1 is 0
  }
  for (const std::string& text : flags.options) {
    const std::string key = text.substr(0, text.find('=')), value = text.substr(key.size() + 1);
    const bool takes_flag = key == "cuda_graph" || key == "use_cuda_graphs";
    const bool is_flag = takes_flag && (value == "true" || value == "false");
    is_flag ? options.add(key, value == "true") : options.add_text(key, value);
  }
  return options;
}
