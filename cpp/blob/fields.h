#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace torchtrt_ws {

/// Takes typed values out of one JSON object, and says where the wrong one is ("io_bindings[3].shape[1]").
///
/// After the first failure, which all objects of one document share, every call returns an empty value: readers need no
/// check after each field, only one at the end.
class Fields {
 public:
  using Json = nlohmann::json;

  /// `object` must outlive this; a value of another type is a failure. `path` names it, "" for the whole document.
  Fields(const Json& object, std::string path, std::optional<Failure>& failure);

  [[nodiscard]] bool failed() const { return failure_.has_value(); }
  [[nodiscard]] bool has(const char* key) const;

  // Without a fallback the key is required.
  std::string text(const char* key);  // holds no NUL: names go into C strings
  std::string text(const char* key, const std::string& fallback);
  std::string text_if_any(const char* key) const;  // "" for anything else: of keys that readers may ignore
  std::string name(const char* key);               // a text that is not empty
  bool boolean(const char* key);
  bool boolean(const char* key, bool fallback);
  int64_t integer(const char* key, int64_t min, int64_t max);
  int64_t integer(const char* key, int64_t min, int64_t max, int64_t fallback);
  std::optional<int64_t> bytes_or_null(const char* key);  // 0 or more; also null when the key is missing
  std::vector<int64_t> dims(const char* key, int64_t min);

  /// Bytes under `key` of the object under `object`, both for reports only: whatever else is there is no failure.
  [[nodiscard]] std::optional<int64_t> bytes_within(const char* object, const char* key) const;

  /// The object under `key`; required.
  Fields object(const char* key);

  /// Calls `read(Fields&)` for each entry of the list under `key`, at most wire::kMaxBindings.
  template <typename Read>
  void list(const char* key, bool required, const Read& read) {
    const Json* array = array_at(key, required);
    if (array == nullptr) return;
    for (std::size_t i = 0; i < array->size() && !failed(); ++i) {
      Fields entry((*array)[i], path_of(key) + "[" + std::to_string(i) + "]", failure_);
      if (!failed()) read(entry);
    }
  }

  /// Records a failure about `key`, unless there is one already.
  void refuse(const char* key, std::string found, std::string expected);

 private:
  [[nodiscard]] std::string path_of(const char* key) const;
  [[nodiscard]] const Json* find(const char* key, bool required, const char* expected);
  [[nodiscard]] const Json* array_at(const char* key, bool required);
  std::optional<std::string> read_text(const char* key, bool required);
  std::optional<int64_t> read_integer(const Json& value, int64_t min, int64_t max);

  const Json* object_;
  std::string path_;
  std::optional<Failure>& failure_;
};

}  // namespace torchtrt_ws
