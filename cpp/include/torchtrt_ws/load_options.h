#pragma once

#include <executorch/runtime/backend/options.h>
#include <executorch/runtime/core/error.h>
#include <executorch/runtime/core/span.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "torchtrt_ws/engines.h"

namespace torchtrt_ws {

/// Load-time options for the delegate, so that no user spells a key:
///
///     torchtrt_ws::LoadOptions options;
///     options.set_budget("encoder", 512 << 20);
///     executorch::runtime::LoadBackendOptionsMap map;
///     if (auto error = options.add_to(map); error != Error::Ok) return error;
///     module.load(map);
///
/// Module::load() copies the options; this object may go afterwards. The first error sticks and add_to() returns it:
/// InvalidArgument for a negative number, a percent over 100, or a name that does not fit ExecuTorch's option key.
class LoadOptions {
 public:
  /// Bytes of each engine's weights that stay on the device.
  LoadOptions& set_budget(int64_t bytes) { return add_number("weight_streaming_budget", bytes); }

  /// Bytes of one engine's weights; stronger than all the others.
  LoadOptions& set_budget(std::string_view engine, int64_t bytes) {
    return add_number("weight_streaming_budget." + std::string(engine), bytes);
  }

  /// Bytes for the whole program, split over its engines.
  LoadOptions& set_total_budget(int64_t bytes) { return add_number("weight_streaming_total_budget", bytes); }

  /// Percent of each engine's streamable weights, 0 to 100.
  LoadOptions& set_percent(int percent) {
    if (percent > 100) first_error_ = executorch::runtime::Error::InvalidArgument;
    return add_number("weight_streaming_percent", percent);
  }

  /// The automatic budget that leaves `bytes` of the device free; 0 asks for the automatic one over a baked value.
  LoadOptions& set_reserve(int64_t bytes) { return add_number("weight_streaming_reserve", bytes); }

  /// The device to load on, instead of the one in the file.
  LoadOptions& set_device_id(int device) { return add_number("device_id", device); }

  /// Capture and replay runs as CUDA graphs where shapes and addresses repeat.
  LoadOptions& set_cuda_graph(bool wanted) { return add("cuda_graph", wanted); }

  /// Any option by its key, for programs that read theirs from elsewhere.
  LoadOptions& add(std::string_view key, executorch::runtime::OptionValue value) {
    executorch::runtime::BackendOption option{};
    if (key.size() >= sizeof(option.key)) {
      first_error_ = executorch::runtime::Error::InvalidArgument;
      return *this;
    }
    std::copy(key.begin(), key.end(), option.key);
    option.value = value;
    options_.push_back(option);
    return *this;
  }

  /// Any option whose value is a string; at most 255 bytes, which ExecuTorch would cut silently.
  LoadOptions& add_text(std::string_view key, std::string_view text) {
    std::array<char, executorch::runtime::kMaxOptionValueLength> value{};
    if (text.size() >= value.size()) {
      first_error_ = executorch::runtime::Error::InvalidArgument;
      return *this;
    }
    std::copy(text.begin(), text.end(), value.begin());
    return add(key, value);
  }

  executorch::runtime::Span<executorch::runtime::BackendOption> view() { return {options_.data(), options_.size()}; }
  executorch::runtime::Error error() const { return first_error_; }

  /// Puts the options into ExecuTorch's map, which points to them: keep this object until the map was used.
  template <typename Map>
  executorch::runtime::Error add_to(Map& map) {
    if (first_error_ != executorch::runtime::Error::Ok) return first_error_;
    return map.set_options(kBackendId, view());
  }

 private:
  LoadOptions& add_number(const std::string& key, int64_t number) {
    if (number < 0) {
      first_error_ = executorch::runtime::Error::InvalidArgument;
      return *this;
    }
    return add_text(key, std::to_string(number));  // a string: ExecuTorch's integers have 32 bits
  }

  std::vector<executorch::runtime::BackendOption> options_;
  executorch::runtime::Error first_error_ = executorch::runtime::Error::Ok;
};

}  // namespace torchtrt_ws
