#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace torchtrt_ws {

using OptionValue = std::variant<bool, int, std::string>;

/// A load-time option, as given.
struct Option {
  std::string key;
  OptionValue value;
};

/// A baked compile spec; `value` holds its bytes as they are, which may include NUL.
struct BakedSpec {
  std::string key;
  std::string value;
};

struct Bytes {
  int64_t value;  ///< Bytes of one engine's weights on the device, [0, 2^63).
};
struct Total {
  int64_t value;  ///< Bytes for the whole program, split by the shares in the blobs.
};
struct Percent {
  int value;  ///< Of one engine's streamable weights, kept on the device; [0, 100].
};
/// What an automatic budget leaves free unless told otherwise. TensorRT-RTX 1.6.1 takes 0.04 MB more of the device for
/// each context, and up to 38 MB over 900 of them (benchmarks/results/gpu-h100.md); drivers hand memory out in 2 MiB.
inline constexpr int64_t kDefaultMargin = int64_t{64} << 20;  // bytes

struct Reserve {
  int64_t value;  ///< Automatic, but leave this many bytes of the device free. 0 is how "auto" travels.
};

/// A budget for every engine of a program. Two forms at once cannot be written.
using General = std::variant<std::monostate, Bytes, Total, Percent, Reserve>;

/// What was asked for one engine, strongest first.
struct Request {
  std::optional<Bytes> engine;     ///< Load-time, for this engine.
  General general;                 ///< Load-time, for every engine.
  General process;                 ///< What the process says for loads that say nothing.
  General environment;             ///< The same, of kBudgetVariable.
  std::optional<Bytes> baked;      ///< From the compile spec.
  std::optional<int64_t> margin;   ///< Load-time: bytes that an automatic budget leaves free.
  std::vector<std::string> notes;  ///< To log, in order; a warning starts with "warning: ".
};

/// Whether `key` is that of a load-time budget for every engine.
[[nodiscard]] bool is_general_budget(std::string_view key) noexcept;

/// What follows `prefix` in `key`, which may be empty; nullopt where the key does not start so.
[[nodiscard]] std::optional<std::string_view> name_behind(std::string_view prefix, std::string_view key) noexcept;

/// Reads what was asked for the engine called `engine_name`. Pure.
///
/// Errors (BadOption): a malformed or wrongly typed value of any budget key, also of other engines' keys and of a baked
/// value that something stronger would beat; a key given twice; two general forms at once; two baked budgets.
/// Notes: an empty option is a warning and counts as absent; an unknown key is a warning that lists the known ones.
/// kCudaGraphKey, kUseCudaGraphsKey, kDeviceIdKey, kVerifyKey, kShareEnginesKey, kShareScratchKey, kContextsKey,
/// kHugePagesKey, kRuntimeCacheKey and kRefitCacheKey are known, and left to others. `process` and `environment` are,
/// too. Cases: tests/budget/resolve_cases.json.
[[nodiscard]] Result<Request> read_request(const std::vector<Option>& options, const std::vector<BakedSpec>& baked,
                                           std::string_view engine_name);

}  // namespace torchtrt_ws
