#include "blob/fields.h"

#include <limits>
#include <utility>

#include "base/quote.h"
#include "blob/header.h"

namespace torchtrt_ws {
namespace {

using Json = nlohmann::json;
constexpr int64_t kMaxInteger = std::numeric_limits<int64_t>::max();

/// A JSON value for a message: short, and safe to print.
std::string describe(const Json& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  if (value.is_array()) return "a list of " + std::to_string(value.size());
  if (value.is_object()) return "an object";
  return value.dump();  // null, a boolean or a number
}

std::string range(int64_t min, int64_t max) {
  return "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
}

}  // namespace

Fields::Fields(const Json& object, std::string path, std::optional<Failure>& failure)
    : object_(&object), path_(std::move(path)), failure_(failure) {
  if (!object.is_object()) refuse("", describe(object), "an object");
}

bool Fields::has(const char* key) const { return object_->is_object() && object_->contains(key); }

std::string Fields::text(const char* key) { return read_text(key, true).value_or(""); }

std::string Fields::text(const char* key, const std::string& fallback) {
  return read_text(key, false).value_or(fallback);
}

std::string Fields::text_if_any(const char* key) const {
  if (!has(key) || !(*object_)[key].is_string()) return {};
  const auto& text = (*object_)[key].get_ref<const std::string&>();
  return text.find('\0') == std::string::npos ? text : std::string();
}

std::string Fields::name(const char* key) {
  std::string value = text(key);
  if (value.empty()) refuse(key, "an empty text", "a name");
  return value;
}

bool Fields::boolean(const char* key) {
  const Json* value = find(key, true, "true or false");
  if (value == nullptr) return false;
  if (!value->is_boolean()) refuse(key, describe(*value), "true or false");
  return value->is_boolean() && value->get<bool>();
}

bool Fields::boolean(const char* key, bool fallback) { return has(key) ? boolean(key) : fallback; }

int64_t Fields::integer(const char* key, int64_t min, int64_t max) {
  const Json* value = find(key, true, "a whole number");
  if (value == nullptr) return 0;
  const auto number = read_integer(*value, min, max);
  if (!number.has_value()) refuse(key, describe(*value), range(min, max));
  return number.value_or(0);
}

int64_t Fields::integer(const char* key, int64_t min, int64_t max, int64_t fallback) {
  return has(key) ? integer(key, min, max) : fallback;
}

std::optional<int64_t> Fields::bytes_or_null(const char* key) {
  const Json* value = find(key, false, "");
  if (value == nullptr || value->is_null()) return std::nullopt;
  const auto number = read_integer(*value, 0, kMaxInteger);
  if (!number.has_value()) refuse(key, describe(*value), range(0, kMaxInteger) + ", or null");
  return number;
}

std::vector<int64_t> Fields::dims(const char* key, int64_t min) {
  std::vector<int64_t> dims;
  const Json* array = array_at(key, true);
  if (array == nullptr) return dims;
  if (array->size() > wire::kMaxRank) {
    refuse(key, describe(*array), "at most " + std::to_string(wire::kMaxRank) + " dimensions");
    return dims;
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    const auto dim = read_integer((*array)[i], min, kMaxInteger);
    if (!dim.has_value()) {
      refuse((std::string(key) + "[" + std::to_string(i) + "]").c_str(), describe((*array)[i]),
             range(min, kMaxInteger));
      return {};
    }
    dims.push_back(*dim);
  }
  return dims;
}

std::optional<int64_t> Fields::bytes_within(const char* object, const char* key) const {
  if (!has(object)) return std::nullopt;
  const Json& inner = (*object_)[object];
  if (!inner.is_object() || !inner.contains(key) || !inner[key].is_number_integer()) return std::nullopt;
  const Json& value = inner[key];
  const bool fits = !value.is_number_unsigned() || value.get<uint64_t>() <= static_cast<uint64_t>(kMaxInteger);
  const int64_t bytes = fits ? value.get<int64_t>() : -1;
  return bytes >= 0 ? std::optional(bytes) : std::nullopt;
}

Fields Fields::object(const char* key) {
  static const Json nothing = Json::object();
  const Json* value = find(key, true, "an object");
  return Fields(value != nullptr ? *value : nothing, path_of(key), failure_);
}

void Fields::refuse(const char* key, std::string found, std::string expected) {
  if (failed()) return;
  const std::string path = path_of(key);
  failure_ = Failure{ErrorCode::BadBlob, "engine blob: " + (path.empty() ? "metadata" : path), std::move(found),
                     std::move(expected), "The file is damaged, or another program wrote it: save it again"};
}

std::string Fields::path_of(const char* key) const {
  const std::string name = escaped(key);  // a tensor's, where tensors are keys
  if (name.empty()) return path_;
  return path_.empty() ? name : path_ + "." + name;
}

const Json* Fields::find(const char* key, bool required, const char* expected) {
  if (failed()) return nullptr;
  const auto entry = object_->find(key);
  if (entry != object_->end()) return &*entry;
  if (required) refuse(key, "nothing", expected);
  return nullptr;
}

const Json* Fields::array_at(const char* key, bool required) {
  const Json* value = find(key, required, "a list");
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    refuse(key, describe(*value), "a list");
    return nullptr;
  }
  if (value->size() > wire::kMaxBindings) {
    refuse(key, describe(*value), "at most " + std::to_string(wire::kMaxBindings) + " entries");
    return nullptr;
  }
  return value;
}

std::optional<std::string> Fields::read_text(const char* key, bool required) {
  const Json* value = find(key, required, "a text");
  if (value == nullptr) return std::nullopt;
  if (!value->is_string() || value->get_ref<const std::string&>().find('\0') != std::string::npos) {
    refuse(key, describe(*value), "a text without NUL");
    return std::nullopt;
  }
  return value->get<std::string>();
}

std::optional<int64_t> Fields::read_integer(const Json& value, int64_t min, int64_t max) {
  if (!value.is_number_integer()) return std::nullopt;  // a fraction, an exponent, or past 64 bits
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(kMaxInteger)) return std::nullopt;
  const auto number = value.get<int64_t>();
  if (number < min || number > max) return std::nullopt;
  return number;
}

}  // namespace torchtrt_ws
