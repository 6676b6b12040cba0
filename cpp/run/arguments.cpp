#include "run/arguments.h"

#include <cstring>

#include "budget/decimal.h"

namespace torchtrt_ws::run {
namespace {

Failure wrong(const std::string& what, const std::string& expected) {
  return {ErrorCode::BadArgument, "command line", what, expected, "See torchtrt_ws_run --help"};
}

Result<int> parse_repeat(const std::string& text) {
  auto count = parse_decimal("--repeat", text.data(), text.size());
  if (!count.ok()) return std::move(count).failure();
  if (count.value() < 1 || count.value() > 1000000) return wrong("--repeat " + text, "1 to 1000000");
  return static_cast<int>(count.value());
}

Status take(Arguments& arguments, const std::string& flag, const std::string& value) {
  if (flag == "--method") {
    arguments.method = value;
  } else if (flag == "--input") {
    arguments.inputs.push_back(value);
  } else if (flag == "--output") {
    arguments.output_folder = value;
  } else if (flag == "--weight-streaming-budget") {
    arguments.options.emplace_back("weight_streaming_budget", value);
  } else if (flag == "--option") {
    const size_t equals = value.find('=');
    if (equals == std::string::npos || equals == 0) return wrong("--option " + value, "--option KEY=VALUE");
    arguments.options.emplace_back(value.substr(0, equals), value.substr(equals + 1));
  } else if (flag == "--adapter") {
    arguments.adapter = value;
  } else if (flag == "--repeat") {
    auto repeat = parse_repeat(value);
    if (!repeat.ok()) return std::move(repeat).failure();
    arguments.repeat = repeat.value();
  } else if (flag == "--load-mode") {
    if (value != "mmap" && value != "file") return wrong("--load-mode " + value, "mmap or file");
    arguments.mmap = value == "mmap";
  } else {
    return wrong(flag, "a flag of --help");
  }
  return ok_status();
}

}  // namespace

const char kUsage[] =
    R"(usage: torchtrt_ws_run PROGRAM.pte [flags]

Loads an ExecuTorch program with load-time options (Module::load(LoadBackendOptionsMap)), runs one method, and says
where its weights are.

  --method NAME                      the method to run (forward)
  --weight-streaming-budget BYTES    the same as --option weight_streaming_budget=BYTES
  --option KEY=VALUE                 a load-time option of the backend; may be repeated
  --input FILE.npy                   an input; repeat in the order of the method's inputs. None at all: zeros
  --output FOLDER                    write the outputs there as output0.npy, output1.npy, ...
  --repeat N                         run N times; the median is reported (1)
  --adapter host|tensorrt            load it first: for programs whose tensors are planned in device memory
  --load-mode mmap|file              map the program, or read it into memory (mmap)
  --json                             one JSON object on stdout instead of text
  --help                             this text

Exit code: 0 done, 1 a problem with the file, the options or the run, 2 wrong usage.
)";

Result<Arguments> parse_arguments(int argc, const char* const* argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--help" || flag == "-h") {
      arguments.help = true;
      return arguments;
    }
    if (flag == "--json") {
      arguments.json = true;
    } else if (flag.rfind("--", 0) == 0) {
      if (i + 1 == argc) return wrong(flag + " without a value", "a value behind it");
      Status taken = take(arguments, flag, argv[++i]);
      if (!taken.ok()) return std::move(taken).failure();
    } else if (arguments.program.empty()) {
      arguments.program = flag;
    } else {
      return wrong("a second program, " + flag, "one program");
    }
  }
  if (arguments.program.empty()) return wrong("no program", "PROGRAM.pte");
  return arguments;
}

}  // namespace torchtrt_ws::run
