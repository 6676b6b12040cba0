#include "budget/request.h"

#include <set>
#include <utility>

#include "base/quote.h"
#include "budget/decimal.h"

namespace torchtrt_ws {
namespace {

constexpr std::string_view kKnownKeys =
    "weight_streaming_budget, weight_streaming_budget.<engine>, weight_streaming_total_budget, "
    "weight_streaming_percent, weight_streaming_reserve, cuda_graph, device_id";
constexpr std::string_view kGeneralKeys =
    "one of weight_streaming_budget, weight_streaming_total_budget, weight_streaming_percent and "
    "weight_streaming_reserve";
constexpr std::string_view kEngineNames = "1 to 39 of the characters A-Z a-z 0-9 _ . -";

bool is_general_key(std::string_view key) {
  return key == kBudgetKey || key == kTotalKey || key == kPercentKey || key == kReserveKey;
}

/// The <engine> of "weight_streaming_budget.<engine>"; nullopt for another key.
std::optional<std::string_view> engine_of(std::string_view key) {
  if (key.size() <= kBudgetKey.size() || key.substr(0, kBudgetKey.size()) != kBudgetKey) return std::nullopt;
  if (key[kBudgetKey.size()] != '.') return std::nullopt;
  return key.substr(kBudgetKey.size() + 1);
}

Failure bad_value(const Option& option, std::string found) {
  Failure failure{ErrorCode::BadOption, escaped(option.key), std::move(found), "", ""};
  if (option.key == kPercentKey) {
    failure.expected = "a whole number from 0 to 100, as decimal digits or an int";
    failure.next_step = "Give the percent of the streamable weights to keep on the device, such as 50";
  } else {
    failure.expected = "a number of bytes from 0 to 9223372036854775807, as decimal digits or an int";
    failure.next_step = "Write bytes as digits: 1 GiB is 1073741824; units, signs and spaces are not read here";
  }
  return failure;
}

/// The option's number; nullopt if it is present but empty.
Result<std::optional<int64_t>> read_number(const Option& option) {
  std::optional<int64_t> number;
  std::string found;  // for the message
  if (const auto* flag = std::get_if<bool>(&option.value)) {
    return bad_value(option, *flag ? "the bool true" : "the bool false");
  }
  if (const auto* integer = std::get_if<int>(&option.value)) {
    found = "the int " + std::to_string(*integer);
    if (*integer < 0) return bad_value(option, std::move(found));
    number = *integer;
  } else {
    const auto& text = std::get<std::string>(option.value);
    if (text.empty()) return number;
    found = quoted(text);
    auto parsed = parse_decimal(option.key, text.data(), text.size());
    if (!parsed.ok()) return bad_value(option, parsed.failure().found);
    number = parsed.value();
  }
  if (option.key == kPercentKey && *number > 100) return bad_value(option, std::move(found));
  return number;
}

General general_form(std::string_view key, int64_t number) {
  if (key == kTotalKey) return Total{number};
  if (key == kPercentKey) return Percent{static_cast<int>(number)};
  if (key == kReserveKey) return Reserve{number};
  return Bytes{number};
}

std::string empty_note(const std::string& key) {
  return "warning: " + key +
         ": found an empty value, which counts as not given. Write the number as digits, or leave the "
         "option out.";
}

/// Reads `weight_streaming_budget.<engine>`; keys of other engines are checked, then ignored.
Status read_engine_option(const Option& option, std::string_view engine_name, std::string_view option_engine,
                          Request& request) {
  if (!is_engine_name(option_engine)) {
    request.notes.push_back("warning: option " + quoted(option.key) +
                            " is ignored: it names no engine. Engine names are " + std::string(kEngineNames) + ".");
    return ok_status();
  }
  auto number = read_number(option);
  if (!number.ok()) return std::move(number).failure();
  if (option_engine != engine_name) return ok_status();
  if (number.value().has_value()) {
    request.engine = Bytes{*number.value()};
  } else {
    request.notes.push_back(empty_note(option.key));
  }
  return ok_status();
}

/// Reads one of the four general forms. `first_key`: the one seen before, empty if none.
Status read_general_option(const Option& option, std::string& first_key, Request& request) {
  auto number = read_number(option);
  if (!number.ok()) return std::move(number).failure();
  if (!number.value().has_value()) {
    request.notes.push_back(empty_note(option.key));
    return ok_status();
  }
  if (!first_key.empty()) {
    return Failure{ErrorCode::BadOption, option.key, "it beside " + first_key, std::string(kGeneralKeys),
                   "Leave out all but one"};
  }
  first_key = option.key;
  request.general = general_form(option.key, *number.value());
  return ok_status();
}

Status read_baked(const std::vector<BakedSpec>& baked, Request& request) {
  for (const BakedSpec& spec : baked) {
    if (spec.key != kBudgetKey) continue;  // target_device and other people's specs
    const std::string subject = "baked " + spec.key;
    if (request.baked.has_value()) {
      return Failure{ErrorCode::BadOption, subject, std::to_string(request.baked->value) + " and " + quoted(spec.value),
                     "one compile spec of that key", "Save the program again with one budget"};
    }
    auto number = parse_decimal(subject, spec.value.data(), spec.value.size());
    if (!number.ok()) {
      Failure failure = std::move(number).failure();
      failure.next_step =
          "Save the program again: torchtrt_ws.save(..., weight_streaming_budget=...) writes it as it must be";
      return failure;
    }
    request.baked = Bytes{number.value()};
  }
  return ok_status();
}

}  // namespace

bool is_engine_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kMaxEngineName) return false;
  for (const char c : name) {
    const bool good =
        (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (!good) return false;
  }
  return true;
}

std::string engine_budget_key(std::string_view engine_name) {
  return std::string(kBudgetKey) + "." + std::string(engine_name);
}

Result<Request> read_request(const std::vector<Option>& options, const std::vector<BakedSpec>& baked,
                             std::string_view engine_name) {
  Request request;
  std::string general_key;
  std::set<std::string_view> seen;
  for (const Option& option : options) {
    if (!seen.insert(option.key).second) {
      return Failure{ErrorCode::BadOption, escaped(option.key), "it twice", "each option at most once",
                     "Leave one of them out"};
    }
    Status status = ok_status();
    if (is_general_key(option.key)) {
      status = read_general_option(option, general_key, request);
    } else if (const auto option_engine = engine_of(option.key)) {
      status = read_engine_option(option, engine_name, *option_engine, request);
    } else if (option.key != kCudaGraphKey && option.key != kDeviceIdKey) {
      request.notes.push_back("warning: option " + quoted(option.key) +
                              " is unknown and ignored. Known options: " + std::string(kKnownKeys) + ".");
    }
    if (!status.ok()) return std::move(status).failure();
  }
  Status status = read_baked(baked, request);
  if (!status.ok()) return std::move(status).failure();
  return request;
}

}  // namespace torchtrt_ws
