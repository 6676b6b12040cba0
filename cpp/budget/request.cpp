#include "budget/request.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "base/engine_name.h"
#include "base/quote.h"
#include "budget/decimal.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

static_assert(kEngineBudgetPrefix.size() + kMaxEngineName == 63);  // ExecuTorch's kMaxOptionKeyLength, less the NUL

constexpr std::string_view kGeneralKeys[] = {kBudgetKey, kTotalBudgetKey, kPercentKey, kReserveKey};
constexpr std::string_view kOtherKeys[] = {kCudaGraphKey,    kUseCudaGraphsKey, kDeviceIdKey, kVerifyKey,
                                           kShareEnginesKey, kShareScratchKey,  kContextsKey, kHugePagesKey,
                                           kRuntimeCacheKey, kRefitCacheKey};

template <typename Keys>
bool is_one_of(const Keys& keys, std::string_view key) {
  return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
}

template <typename Keys>
std::string joined(const Keys& keys) {
  std::string all;
  for (const std::string_view key : keys) all.append(all.empty() ? "" : ", ").append(key);
  return all;
}

std::string known_keys() {
  return joined(kGeneralKeys) + ", " + std::string(kEngineBudgetPrefix) + "<engine>, " + std::string(kMarginKey) +
         ", " + joined(kOtherKeys);
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
    found = in_quotes(text);
    auto parsed = parse_decimal(option.key, text.data(), text.size());
    if (!parsed.ok()) return bad_value(option, parsed.failure().found);
    number = parsed.value();
  }
  if (option.key == kPercentKey && *number > 100) return bad_value(option, std::move(found));
  return number;
}

General general_form(std::string_view key, int64_t number) {
  if (key == kTotalBudgetKey) return Total{number};
  if (key == kPercentKey) return Percent{static_cast<int>(number)};
  if (key == kReserveKey) return Reserve{number};
  return Bytes{number};
}

std::string empty_note(const std::string& key) {
  return "warning: " + key +
         ": found an empty value, which counts as not given. Write the number as digits, or leave the option out.";
}

/// Reads `weight_streaming_budget.<engine>`; keys of other engines are checked, then ignored.
Status read_engine_option(const Option& option, std::string_view engine_name, std::string_view option_engine,
                          Request& request) {
  if (!is_engine_name(option_engine)) {
    request.notes.push_back("warning: option " + in_quotes(option.key) +
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
    return Failure{ErrorCode::BadOption, option.key, "it beside " + first_key, "one of " + joined(kGeneralKeys),
                   "Leave out all but one"};
  }
  first_key = option.key;
  request.general = general_form(option.key, *number.value());
  return ok_status();
}

Status read_margin(const Option& option, Request& request) {
  auto number = read_number(option);
  if (!number.ok()) return std::move(number).failure();
  request.margin = number.value();
  if (!request.margin) request.notes.push_back(empty_note(option.key));
  return ok_status();
}

Status read_baked(const std::vector<BakedSpec>& baked, Request& request) {
  for (const BakedSpec& spec : baked) {
    if (spec.key != kBudgetKey) continue;  // target_device and other people's specs
    const std::string subject = "baked " + spec.key;
    if (request.baked.has_value()) {
      return Failure{ErrorCode::BadOption, subject,
                     std::to_string(request.baked->value) + " and " + in_quotes(spec.value),
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

std::optional<std::string_view> name_behind(std::string_view prefix, std::string_view key) noexcept {
  if (key.substr(0, prefix.size()) != prefix) return std::nullopt;
  return key.substr(prefix.size());
}

bool is_general_budget(std::string_view key) noexcept { return is_one_of(kGeneralKeys, key); }

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
    if (is_general_budget(option.key)) {
      status = read_general_option(option, general_key, request);
    } else if (const auto option_engine = name_behind(kEngineBudgetPrefix, option.key)) {
      status = read_engine_option(option, engine_name, *option_engine, request);
    } else if (option.key == kMarginKey) {
      status = read_margin(option, request);
    } else if (!is_one_of(kOtherKeys, option.key)) {
      request.notes.push_back("warning: option " + in_quotes(option.key) +
                              " is unknown and ignored. Known options: " + known_keys() + ".");
    }
    if (!status.ok()) return std::move(status).failure();
  }
  Status status = read_baked(baked, request);
  if (!status.ok()) return std::move(status).failure();
  return request;
}

}  // namespace torchtrt_ws
