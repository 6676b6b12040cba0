#include "delegate/read_options.h"

#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "base/quote.h"
#include "budget/decimal.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

using Text = std::array<char, executorch::runtime::kMaxOptionValueLength>;

Result<int> read_device_id(const OptionValue& value) {
  const Failure refused{ErrorCode::BadOption, std::string(kDeviceIdKey), "a value that is no device index",
                        "an integer from 0", "Give the index that CUDA uses for the device."};
  if (const int* number = std::get_if<int>(&value)) {
    if (*number < 0) return refused;
    return *number;
  }
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return refused;
  auto parsed = parse_decimal(kDeviceIdKey, text->data(), text->size());
  if (!parsed.ok()) return parsed.failure();
  if (parsed.value() > std::numeric_limits<int>::max()) return refused;
  return static_cast<int>(parsed.value());
}

Result<int> read_contexts(const OptionValue& value) {
  constexpr int kMost = 1024;  // beyond what any device holds, and sums of sizes stay within 64 bits
  const int* number = std::get_if<int>(&value);
  if (number != nullptr && *number >= 1 && *number <= kMost) return *number;
  return Failure{ErrorCode::BadOption, std::string(kContextsKey),
                 number == nullptr ? "a value that is no int" : std::to_string(*number),
                 "an int from 1 to " + std::to_string(kMost), "Leave it out for one"};
}

GraphUse graph_use(bool wanted) { return wanted ? GraphUse::On : GraphUse::Off; }

Result<GraphUse> read_graph_use(const Option& option) {
  if (const bool* wanted = std::get_if<bool>(&option.value)) return graph_use(*wanted);
  const auto* text = std::get_if<std::string>(&option.value);
  const bool words = option.key == kCudaGraphKey;
  if (words && text != nullptr) {
    if (*text == "auto") return GraphUse::Auto;
    if (*text == "on") return GraphUse::On;
    if (*text == "off") return GraphUse::Off;
  }
  return Failure{ErrorCode::BadOption, option.key, text == nullptr ? "a value that is not a bool" : in_quotes(*text),
                 words ? "a bool, or auto, on or off" : "a bool", "Leave it out for what the file says, else off."};
}

/// The option that is a bool called `key`; null where there is none.
bool* switch_of(std::string_view key, OpenOptions& options) {
  if (key == kShareEnginesKey) return &options.share_engines;
  if (key == kShareScratchKey) return &options.share_scratch;
  if (key == kHugePagesKey) return &options.huge_pages;
  return nullptr;
}

/// The option that is a folder called `key`; null where there is none.
std::string* folder_of(std::string_view key, OpenOptions& options) {
  if (key == kRuntimeCacheKey) return &options.runtime_cache;
  if (key == kRefitCacheKey) return &options.refit_cache;
  return nullptr;
}

}  // namespace

std::vector<Option> copy_options(executorch::runtime::Span<const executorch::runtime::BackendOption> options) {
  std::vector<Option> copies;
  copies.reserve(options.size());
  for (const auto& option : options) {
    OptionValue value;
    if (const bool* flag = std::get_if<bool>(&option.value)) value = *flag;
    if (const int* number = std::get_if<int>(&option.value)) value = *number;
    if (const auto* text = std::get_if<Text>(&option.value))
      value.emplace<std::string>(text->data(), strnlen(text->data(), text->size()));
    copies.push_back({std::string(option.key, strnlen(option.key, sizeof(option.key))), std::move(value)});
  }
  return copies;
}

std::vector<BakedSpec> copy_specs(executorch::runtime::ArrayRef<executorch::runtime::CompileSpec> specs) {
  std::vector<BakedSpec> copies;
  copies.reserve(specs.size());
  for (const auto& spec : specs) {
    if (spec.key == nullptr) continue;
    const auto* bytes = static_cast<const char*>(spec.value.buffer);
    copies.push_back({spec.key, bytes == nullptr ? std::string() : std::string(bytes, spec.value.nbytes)});
  }
  return copies;
}

Result<OpenOptions> read_open_options(const std::vector<Option>& options, OpenOptions otherwise) {
  OpenOptions read = otherwise;
  std::optional<GraphUse> graph;
  for (const Option& option : options) {
    if (option.key == kDeviceIdKey) {
      auto id = read_device_id(option.value);
      if (!id.ok()) return id.failure();
      read.device_id = id.value();
    } else if (option.key == kContextsKey) {
      auto contexts = read_contexts(option.value);
      if (!contexts.ok()) return contexts.failure();
      read.contexts = contexts.value();
    } else if (option.key == kCudaGraphKey || option.key == kUseCudaGraphsKey) {
      auto use = read_graph_use(option);
      if (!use.ok()) return use.failure();
      if (graph.value_or(use.value()) != use.value()) {
        return Failure{ErrorCode::BadOption, option.key, "another value than that of the other option for CUDA graphs",
                       std::string(kCudaGraphKey) + " or " + std::string(kUseCudaGraphsKey), "Leave one of them out."};
      }
      graph = read.cuda_graph = use.value();
    } else if (bool* switched = switch_of(option.key, read)) {
      const bool* wish = std::get_if<bool>(&option.value);
      if (wish == nullptr) {
        return Failure{ErrorCode::BadOption, option.key, "a value that is not a bool", "true or false",
                       "Set the option with a bool."};
      }
      *switched = *wish;
    } else if (std::string* folder = folder_of(option.key, read)) {
      const auto* text = std::get_if<std::string>(&option.value);
      if (text == nullptr || text->empty()) {
        return Failure{ErrorCode::BadOption, option.key, text == nullptr ? "a value that is no text" : "an empty text",
                       "a folder, or off", "Leave it out for what is usual."};
      }
      *folder = *text;
    } else if (option.key == kVerifyKey) {
      const auto* text = std::get_if<std::string>(&option.value);
      const std::optional<Verify> verify = text == nullptr ? std::nullopt : parse_verify(*text);
      if (!verify) {
        return Failure{ErrorCode::BadOption, std::string(kVerifyKey),
                       text == nullptr ? "a value that is no text" : in_quotes(*text), "checksum, digest or off",
                       "Leave it out for checksum."};
      }
      read.verify = *verify;
    }
  }
  return read;
}

std::optional<GraphUse> baked_graph_use(const std::vector<BakedSpec>& specs, std::vector<std::string>& notes) {
  for (const BakedSpec& spec : specs) {
    if (spec.key != kUseCudaGraphsKey) continue;
    const std::string_view value = spec.value;
    if (value == std::string_view("\1", 1) || value == "1" || value == "true" || value == "True") return GraphUse::On;
    if (value == std::string_view("\0", 1) || value == "0" || value == "false" || value == "False")
      return GraphUse::Off;
    notes.push_back("warning: compile spec " + std::string(kUseCudaGraphsKey) + ": found " + in_quotes(spec.value) +
                    "; expected true or false. It is ignored: set the option " + std::string(kCudaGraphKey) +
                    " at load.");
    break;
  }
  return std::nullopt;
}

}  // namespace torchtrt_ws
