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
  std::string program, method = "forward", output;
  std::vector<std::string> inputs, totals, per_engine, options;
  long repeat = 1;
  bool map = true;
};

/// Wrong usage, about which getopt or `words` have spoken; or --help.
[[noreturn]] inline void leave(int exit_code, const std::string& words = "") {
  std::fprintf(exit_code == 0 ? stdout : stderr, "%s%s", words.c_str(), kUsage);
  std::exit(exit_code);
}

inline Flags parse(int argc, char** argv) {
  const option known[] = {{"weight-streaming-budget", required_argument, nullptr, 'b'},
                          {"weight-streaming-budget-per-engine", required_argument, nullptr, 'e'},
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
    if (flag == 'n' && (*end != '\0' || flags.repeat < 1)) leave(2, "cpp_app: --repeat '" + value + "'\n");
    if (flag == 'l' && value != "mmap" && value != "file") leave(2, "cpp_app: --load-mode '" + value + "'\n");
    if (flag == 'k' && value.find('=') == value.npos) leave(2, "cpp_app: --option '" + value + "'\n");
  }
  if (argc - optind != 1) leave(2, "cpp_app: expected one PROGRAM.pte\n");
  flags.program = argv[optind];
  return flags;
}

/// Numbers go as text: the delegate reads them, and says what is wrong with one. A program that has them as numbers
/// calls set_total_budget(), set_percent() and so on.
inline torchtrt_ws::LoadOptions load_options(const Flags& flags) {
  torchtrt_ws::LoadOptions options;
  if (!flags.totals.empty() && !flags.per_engine.empty()) {
    throw Problem("found --weight-streaming-budget and --weight-streaming-budget-per-engine; expected one of them");
  }
  for (const std::string& text : flags.totals) {
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
