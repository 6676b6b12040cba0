// Continues token ids with a program that examples/llm/save.py wrote, taking the most likely token each time.
//
//   llm smollm2.pte [--budget BYTES] [--tokens 64] [--end ID] ID ID ID ...
//
// Ids on stdout, a line each; where the weights are and how long it took on stderr. Text and ids are a tokenizer's
// business (https://github.com/meta-pytorch/tokenizers, say).

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/backend/backend_options_map.h>
#include <torchtrt_ws/engines.h>
#include <torchtrt_ws/last_error.h>
#include <torchtrt_ws/load_options.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using executorch::aten::ScalarType;
using executorch::extension::from_blob;
using executorch::extension::Module;
using executorch::runtime::Error;

struct Flags {
  std::string program;
  std::vector<int64_t> ids;  // the prompt
  int64_t budget = -1;       // bytes of weights on the device; below 0: as the file says, else automatic
  int64_t tokens = 64;
  int64_t end = -1;  // a token that ends it
};

Flags parse(int argc, char** argv) {
  Flags flags;
  const auto number = [](const char* text) {
    char* rest = nullptr;
    const int64_t value = std::strtoll(text, &rest, 10);
    if (rest == text || *rest != '\0') throw std::invalid_argument(std::string("found '") + text + "', no number");
    return value;
  };
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    int64_t* value = argument == "--budget"   ? &flags.budget
                     : argument == "--tokens" ? &flags.tokens
                     : argument == "--end"    ? &flags.end
                                              : nullptr;
    if (value != nullptr && i + 1 < argc) {
      *value = number(argv[++i]);
    } else if (flags.program.empty()) {
      flags.program = argument;
    } else {
      flags.ids.push_back(number(argv[i]));
    }
  }
  if (flags.ids.empty()) throw std::invalid_argument("expected a program, and the ids of a prompt");
  return flags;
}

/// ExecuTorch carries a code; the delegate has the words.
void check(Error error, const char* what) {
  if (error == Error::Ok) return;
  const torchtrt_ws::LastError last = torchtrt_ws::last_error();
  throw std::runtime_error(last.error == error ? last.message : std::string(what) + ": " + to_string(error));
}

class Decoder {
 public:
  Decoder(const std::string& program, int64_t budget) : module_(program, Module::LoadMode::Mmap) {
    torchtrt_ws::LoadOptions options;
    if (budget >= 0) options.set_total_budget(budget);
    executorch::runtime::LoadBackendOptionsMap map;
    check(options.add_to(map), "the budget");
    check(module_.load(map, executorch::runtime::Program::Verification::InternalConsistency), program.c_str());
    const auto meta = module_.method_meta("forward");
    check(meta.error(), "method 'forward'");
    const auto ids = meta->input_tensor_meta(0);
    check(ids.error(), "the input 'ids'");
    most_ = static_cast<size_t>(ids->sizes()[1]);
  }

  /// The most likely token behind `ids`, and behind all of the calls before.
  int64_t next(std::vector<int64_t> ids) {
    std::vector<executorch::runtime::EValue> logits;
    for (size_t done = 0; done < ids.size();) {
      const size_t count = std::min(most_, ids.size() - done);  // a long prompt goes in pieces
      const auto piece = from_blob(ids.data() + done, {1, static_cast<int>(count)}, ScalarType::Long);
      const auto start = from_blob(&start_, {1}, ScalarType::Long);
      auto result = module_.forward({piece, start});
      check(result.error(), "a call");
      logits = std::move(*result);
      done += count;
      start_ += static_cast<int64_t>(count);
    }
    const auto tensor = logits.at(0).toTensor();
    if (tensor.scalar_type() == ScalarType::Half) return largest<executorch::aten::Half>(tensor);
    if (tensor.scalar_type() == ScalarType::BFloat16) return largest<executorch::aten::BFloat16>(tensor);
    return largest<float>(tensor);
  }

 private:
  template <typename T>
  static int64_t largest(const executorch::aten::Tensor& tensor) {
    const T* begin = tensor.const_data_ptr<T>();
    const auto less = [](T a, T b) { return static_cast<float>(a) < static_cast<float>(b); };
    return std::max_element(begin, begin + tensor.numel(), less) - begin;
  }

  Module module_;
  size_t most_ = 1;    // ids of one call
  int64_t start_ = 0;  // how many tokens the program has seen
};

void run(const Flags& flags) {
  Decoder decoder(flags.program, flags.budget);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<int64_t> ids = flags.ids;
  int64_t made = 0;
  for (; made < flags.tokens; ++made) {
    ids = {decoder.next(ids)};
    if (ids[0] == flags.end) break;
    std::printf("%lld\n", static_cast<long long>(ids[0]));
    std::fflush(stdout);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::fprintf(stderr, "%lld tokens in %.2f s\n", static_cast<long long>(made), seconds.count());
  for (const torchtrt_ws::EngineReport& engine : torchtrt_ws::engines()) {
    std::fprintf(stderr, "engine %s: %lld of %lld bytes of weights on the device (%s)\n", engine.name.c_str(),
                 static_cast<long long>(engine.budget_bytes), static_cast<long long>(engine.streamable_bytes),
                 engine.source.c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "llm: %s\n", problem.what());
    return 1;
  }
  return 0;
}
