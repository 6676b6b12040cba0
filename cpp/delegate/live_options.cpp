#include "delegate/live_options.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "base/quote.h"
#include "delegate/error.h"
#include "nlohmann/json.hpp"

namespace torchtrt_ws {
namespace {

using Handles = std::vector<std::shared_ptr<Handle>>;

constexpr std::string_view kEnginesKey = "engines";
constexpr std::string_view kEnginePrefix = "engine.";

/// The part of `key` behind `prefix`, or nothing.
std::string_view behind(std::string_view prefix, std::string_view key) {
  return key.size() > prefix.size() && key.substr(0, prefix.size()) == prefix ? key.substr(prefix.size())
                                                                              : std::string_view();
}

std::string names_of(const Handles& handles) {
  std::string names;
  for (const auto& handle : handles) names += (names.empty() ? "" : ",") + handle->identity().name;
  return names;
}

const Handle* find_by_name(const Handles& handles, std::string_view name) {
  const auto found = std::find_if(handles.begin(), handles.end(),
                                  [name](const auto& handle) { return handle->identity().name == name; });
  return found == handles.end() ? nullptr : found->get();
}

Failure no_such_engine(std::string_view key, const Handles& handles) {
  return {ErrorCode::BadArgument, escaped(key), "no live engine of that name",
          handles.empty() ? "a loaded program" : "one of " + names_of(handles),
          "Load the program first, or mend the name"};
}

Status check_engine_keys(const std::vector<Option>& options, const Handles& handles) {
  const std::string prefix = std::string(kBudgetKey) + ".";
  for (const Option& option : options) {
    const std::string_view name = behind(prefix, option.key);
    if (!name.empty() && find_by_name(handles, name) == nullptr) return no_such_engine(option.key, handles);
  }
  return ok_status();
}

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
  const std::string_view reported = behind(kEnginePrefix, key);
  const std::string_view budgeted = behind(std::string(kBudgetKey) + ".", key);
  if (reported.empty() && budgeted.empty()) {
    return Failure{ErrorCode::BadArgument, escaped(key), "an unknown key",
                   "engines, engine.<name> or weight_streaming_budget.<name>", "Ask for one of these"};
  }
  const Handle* handle = find_by_name(handles, reported.empty() ? budgeted : reported);
  if (handle == nullptr) return no_such_engine(key, handles);
  const EngineReport report = handle->report();
  return reported.empty() ? std::to_string(report.budget_bytes) : report_json(report);
}

}  // namespace

Status change_budgets(const std::vector<Option>& options, const Handles& handles) {
  Status keys = check_engine_keys(options, handles);
  if (!keys.ok()) return keys;
  std::vector<Request> requests;
  for (const auto& handle : handles) {
    auto request = read_request(options, {}, handle->identity().name);
    if (!request.ok()) return std::move(request).failure();
    requests.push_back(std::move(request).value());
  }
  std::vector<std::pair<Handle*, Handle::Previous>> changed;
  for (size_t i = 0; i < handles.size(); ++i) {
    auto previous = handles[i]->change_budget(requests[i]);
    if (previous.ok()) {
      if (previous.value()) changed.emplace_back(handles[i].get(), *previous.value());
      continue;
    }
    for (auto it = changed.rbegin(); it != changed.rend(); ++it) {
      Status undone = it->first->undo_change(it->second);
      if (!undone.ok()) {
        log_notes(it->first->identity().name,
                  {"warning: the old budget could not be put back: " + undone.failure().message()});
      }
    }
    return std::move(previous).failure();
  }
  return ok_status();
}

Status read_live_options(executorch::runtime::Span<executorch::runtime::BackendOption> options,
                         const Handles& handles) {
  for (auto& option : options) {
    auto text = answer(std::string_view(option.key, strnlen(option.key, sizeof(option.key))), handles);
    if (!text.ok()) return std::move(text).failure();
    std::array<char, executorch::runtime::kMaxOptionValueLength> value{};
    if (text.value().size() >= value.size()) {
      return Failure{ErrorCode::BadArgument, option.key, std::to_string(text.value().size()) + " bytes to answer",
                     "at most " + std::to_string(value.size() - 1) + ", the size of an ExecuTorch option",
                     "Use torchtrt_ws::engines() instead"};
    }
    std::copy(text.value().begin(), text.value().end(), value.begin());
    option.value = value;
  }
  return ok_status();
}

}  // namespace torchtrt_ws
