#pragma once

#include <executorch/runtime/backend/options.h>
#include <executorch/runtime/core/result.h>
#include <executorch/runtime/core/span.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// What one fact means for a load on this machine, now.
enum class Verdict {
  Ok,       // nothing in the way
  Advice,   // it loads, but not as it could
  No,       // it does not load
  Unknown,  // cannot be told here, or not before the load
};

/// "ok", "advice", "no" or "unknown". Never null.
TORCHTRT_WS_API const char* verdict_name(Verdict verdict) noexcept;

/// One fact about an engine, or about the program.
struct CheckFact {
  std::string name;  // "adapter", "runtime", "version", "device", "platform", "budget", "memory", ...
  Verdict verdict = Verdict::Unknown;
  std::string found;                                   // what is there: a phrase
  std::string remedy;                                  // what to do: a sentence, or empty
  std::vector<std::pair<std::string, int64_t>> bytes;  // sizes by name, such as "free"; in bytes
};

/// What can be told of one engine without loading it.
struct EngineCheck {
  std::string name;    // as EngineReport::name
  std::string method;  // the ExecuTorch method it belongs to
  std::string kind;    // "host" or "tensorrt"; empty where its blob cannot be read
  std::vector<CheckFact> facts;
};

/// What check() found.
struct CheckReport {
  std::vector<CheckFact> facts;  // of the program: the memory of each device, delegates of other backends
  std::vector<EngineCheck> engines;

  /// Whether no fact says no. What cannot be told does not count.
  TORCHTRT_WS_API bool ok() const noexcept;
};

/// Whether the program at `path` will load here, fact by fact: adapters, TensorRT's library and version, device,
/// platform, the budgets that `options` (those of load time: LoadOptions::view(), option_keys.h), this process, the
/// environment or the file ask for, and memory. Nothing is loaded but adapters and TensorRT's library, and CUDA makes a
/// context for the device. The file is mapped, and of each engine only the first bytes are read; `digests` reads all
/// of it, and compares checksums and SHA-256.
///
/// A TensorRT engine's execution context and, where the file records none, its scratch memory are known once it is
/// loaded: memory is a lower bound.
///
/// Returns InvalidProgram for a file that is no program, or for options that cannot be read; all else is a fact.
/// last_error() (last_error.h) has the words.
TORCHTRT_WS_API executorch::runtime::Result<CheckReport> check(
    const std::string& path, executorch::runtime::Span<const executorch::runtime::BackendOption> options = {},
    bool digests = false);

/// What the adapter of an engine `kind` finds on this machine, whatever the program; none for "host". For "tensorrt":
/// "headers" (those it was compiled with), "TensorRT" and "TensorRT-RTX" (the libraries that a load would take, which
/// are loaded), "CUDA runtime", "driver", and a fact "cuda:N" for each device, with its "total" bytes, or "device" that
/// says why there is none.
///
/// Returns NotSupported as load_adapter() (adapter.h) does; last_error() has the words.
TORCHTRT_WS_API executorch::runtime::Result<std::vector<CheckFact>> survey(const std::string& kind);

}  // namespace torchtrt_ws
