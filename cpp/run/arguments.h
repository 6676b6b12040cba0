#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace torchtrt_ws::run {

/// What the command line asks for.
struct Arguments {
  std::string program;
  std::string method = "forward";
  std::vector<std::pair<std::string, std::string>> options;  // load-time options: key and value
  std::vector<std::string> inputs;                           // .npy files, in the order of the method's inputs
  std::string output_folder;                                 // empty: outputs are not written
  std::string adapter;                                       // loaded before the program; empty: when an engine asks
  int repeat = 1;
  bool mmap = true;
  bool json = false;
  bool help = false;
};

/// The text of `--help`.
extern const char kUsage[];

/// Fails with BadArgument: wrong usage.
Result<Arguments> parse_arguments(int argc, const char* const* argv);

}  // namespace torchtrt_ws::run
