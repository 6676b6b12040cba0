#include "delegate/answer_options.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/quote.h"
#include "budget/request.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

std::string report_json(const EngineReport& report) {
  // Short keys: the answer must fit ExecuTorch's 255 bytes.
  nlohmann::ordered_json json = {
      {"name", report.name},           {"kind", report.kind},     {"streamable", report.streamable_bytes},
      {"budget", report.budget_bytes}, {"source", report.source}, {"scratch", report.scratch_bytes},
      {"device", report.device_bytes}, {"runs", report.runs},     {"seconds", report.seconds}};
  return json.dump();
}

Result<std::string> answer(std::string_view key, const Handles& handles) {
  if (key == kEnginesKey) return names_of(handles);
  const auto reported = name_behind(kEnginePrefix, key);
  const auto name = reported ? reported : name_behind(kEngineBudgetPrefix, key);
  if (!name || name->empty()) {
    const auto form = [](std::string_view prefix) { return std::string(prefix) + "<name>"; };
    return Failure{ErrorCode::BadArgument, escaped(key), "an unknown key",
                   std::string(kEnginesKey) + ", " + form(kEnginePrefix) + " or " + form(kEngineBudgetPrefix),
                   "Ask for one of these"};
  }
  auto handle = find_named(handles, *name, key);
  if (!handle.ok()) return std::move(handle).failure();
  const EngineReport report = handle.value()->report();
  return reported ? report_json(report) : std::to_string(report.budget_bytes);
}

}  // namespace

Status answer_options(executorch::runtime::Span<executorch::runtime::BackendOption> options, const Handles& handles) {
  for (auto& option : options) {
    auto text = answer(std::string_view(option.key, strnlen(option.key, sizeof(option.key))), handles);
    if (!text.ok()) return std::move(text).failure();
    std::array<char, executorch::runtime::kMaxOptionValueLength> value{};
    if (text.value().size() >= value.size()) {
      return Failure{ErrorCode::BadArgument, escaped(option.key),
                     std::to_string(text.value().size()) + " bytes to answer",
                     "at most " + std::to_string(value.size() - 1) + ", the size of an ExecuTorch option",
                     "Use torchtrt_ws::engines() instead"};
    }
    std::copy(text.value().begin(), text.value().end(), value.begin());
    option.value = value;
  }
  return ok_status();
}

}  // namespace torchtrt_ws
