#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "budget/request.h"

namespace torchtrt_ws {

/// Where a budget came from.
enum class Source {
  LoadTimeEngine,  ///< Load-time option for this engine.
  LoadTime,        ///< Load-time option for every engine.
  ProcessDefault,  ///< What the process says for loads that say nothing: set_option(), set_defaults().
  Environment,     ///< The same, of the environment: kBudgetVariable.
  Baked,           ///< Compile spec in the program.
  Automatic,       ///< Nothing was given: the engine chose.
  MakeRoom,        ///< After load: make_room() took of it (torchtrt_ws/memory.h).
  Headroom,        ///< After load: the device's headroom did.
  None,            ///< No budget call: the engine has no streamable weights.
};

/// "load-time (engine)", "load-time", "process default", "environment", "baked", "automatic", "make-room", "headroom"
/// or "none". Never null.
[[nodiscard]] const char* source_name(Source source) noexcept;

/// What the blob recorded about the program at save. Sizes are bytes; nullopt: not known at save.
struct Shares {
  int engines;  ///< In the program; 1 or more.
  std::optional<int64_t> engine_streamable;
  std::optional<int64_t> program_streamable;
};

/// What the loaded engine says about itself. Sizes are bytes.
struct EngineFacts {
  int64_t streamable;            ///< ICudaEngine::getStreamableWeightsSize(); 0: not streamable.
  int64_t scratch;               ///< Needed besides the budget while streaming: getWeightStreamingScratchMemorySize().
  std::optional<Shares> shares;  ///< nullopt: a file without our metadata.
  /// The engine's own choice that leaves `reserve` bytes of the device free. Each resolve() calls it at most once, and
  /// only if needed.
  std::function<Result<int64_t>(int64_t reserve)> automatic;
};

struct Resolution {
  std::optional<int64_t> bytes;  ///< In [0, streamable]; nullopt: make no budget call.
  Source source;
  bool explicit_bytes;    ///< A number of bytes was asked: applied as asked, never moved out of the hole.
  bool automatic;         ///< The engine chose (automatic or reserve): smaller budgets may be tried (ladder.h).
  std::string requested;  ///< For the log: "1073741824", "total 1073741824", "50%", "auto", "free-1024", "nothing".
  std::vector<std::string> notes;  ///< To log, in order; a warning starts with "warning: ". Starts with the request's.
  bool clipped = false;            ///< More was asked than is streamable.
};

/// Decides how many bytes of one engine's weights stay on the device. Pure, but for the call to `facts.automatic`.
///
/// Order: the option for this engine, the general option, the process's default, the environment, the baked value,
/// automatic. A value over the streamable size
/// is clipped, with a note. Below the streamable size S the device holds budget + scratch, at S it holds S; a derived
/// budget (total, percent, reserve, automatic) with budget + scratch >= S becomes S, with a note; explicit bytes stay,
/// with a warning. Source of that rule: measured, TensorRT-RTX 1.6.1 on an H100. Errors: BadOption if a total is asked
/// and the blob does not record the shares; BadBlob if the shares contradict each other; what `facts.automatic`
/// returns. Cases: tests/budget/resolve_cases.json.
[[nodiscard]] Result<Resolution> resolve(const Request& request, const EngineFacts& facts);

}  // namespace torchtrt_ws
