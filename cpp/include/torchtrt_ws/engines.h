#pragma once

#include <executorch/runtime/backend/options.h>
#include <executorch/runtime/core/error.h>
#include <executorch/runtime/core/result.h>
#include <executorch/runtime/core/span.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "torchtrt_ws/api.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {

/// Calls at the same time: an ExecuTorch Module runs one call at a time. N Modules on one mapped file
/// (Module::LoadMode::Mmap), a thread each, are N execution contexts on one copy of the weights, under one budget;
/// LoadOptions::set_contexts(N) lets the first one's automatic budget leave room for all. Host engines map the same
/// packed weights, but each keeps them by its own budget.

/// What one loaded engine says of itself. Sizes are bytes. "Device" is the GPU for a tensorrt engine, and this
/// process's resident memory for a host engine.
struct EngineReport {
  uint64_t id = 0;     // never reused within a process
  std::string name;    // as in the file; `engine0`, `engine1`, ... in files without our metadata
  std::string method;  // the ExecuTorch method it belongs to
  std::string kind;    // "host" or "tensorrt"
  std::string device;  // "cuda:0", "cpu"
  /// Of an engine with plans for several GPUs, the one that runs: "2 of 3 (compute capability 9.0,
  /// tensorrt_rtx 1.6.1)".
  std::string variant;
  int64_t streamable_bytes = 0;  // weights that can stay in host memory; 0: not built with weight streaming
  int64_t budget_bytes = 0;      // of these, kept on the device; TensorRT's own answer for a tensorrt engine
  int64_t wanted_bytes = 0;      // the budget before make_room(), the headroom or sleep() took of it (memory.h)
  /// Who decided: "load-time (engine)", "load-time", "process default" (set_defaults()), "environment", "baked",
  /// "automatic", "make-room", "headroom" or "none"; of an engine that sleeps, what it will wake to.
  std::string source;
  int64_t scratch_bytes = 0;  // device memory that streaming needs beside the budget; 0 where it is not known yet
  int64_t device_bytes = 0;   // on the device now: weights, scratch, context and staging. Shared weights count once
  std::vector<uint64_t> shared_with;  // ids of the engines on the same weights, of other programs too; without this one
  int priority = 0;                   // set_priority() (memory.h): who gives memory first
  bool refittable = false;            // refit() takes weights for it (new_weights.h)
  bool asleep = false;                // sleep() (memory.h): it has no context, and refuses to run
  uint64_t runs = 0;                  // calls that succeeded
  double seconds = 0;                 // spent in them
  /// Bytes of weights that these calls streamed to the device: computed, streamable_bytes - budget_bytes for each.
  uint64_t streamed_bytes = 0;
  /// Of the calls that waited for their work, what they streamed over what they took; 0 where nothing streamed. A call
  /// that returned early (stream.h) says nothing of it.
  double streamed_bytes_per_second = 0;
  bool clipped = false;       // the budget was asked larger than streamable_bytes, when it was last decided
  uint64_t ladder_steps = 0;  // automatic budgets that did not fit before a smaller one did, since it was loaded
  uint64_t graph_hits = 0;    // runs that replayed a captured CUDA graph
  /// Loads that found what they prepare in the cache on disk: a host engine's packed weights, a TensorRT-RTX engine's
  /// compiled kernels.
  uint64_t cache_hits = 0;
  uint64_t cache_misses = 0;   // loads that prepared it and left it there
  double context_seconds = 0;  // what making its last execution context took, compiling kernels with it
};

/// Reports of all live engines of the process, in loading order. Waits for no work in flight: an engine that
/// is busy is reported as it was after the call before, with the runs since.
TORCHTRT_WS_API std::vector<EngineReport> engines();

/// Report of the engine with this `id` (EngineReport::id, LoadScope::ids()); its `id` is 0 when no such engine is
/// alive. Waits for no work in flight, as above.
TORCHTRT_WS_API EngineReport engine(uint64_t id);

/// Changes the budgets of the engines `ids`, all or none: those of a program, say (LoadScope::ids()). `options` are
/// those of load time (LoadOptions::view(), option_keys.h). Waits for the calls that came before it, drops the
/// execution contexts, sets the budgets, those that shrink first, and makes the contexts again; when one fails, the old
/// budgets are put back.
///
/// Returns InvalidProgram for options that cannot be read, MemoryAllocationFailed when the budget does not fit,
/// InvalidArgument for an unknown id, or for the name of another engine; InvalidState for an engine that sleeps
/// (memory.h); Internal when the engine's runtime fails. last_error() (last_error.h) has the words.
TORCHTRT_WS_API executorch::runtime::Error set_budgets(
    const std::vector<uint64_t>& ids, executorch::runtime::Span<const executorch::runtime::BackendOption> options);

/// Bytes that the engines `ids` of a program would keep on the device together if all of them were automatic now: what
/// is free and what they hold, less `margin` bytes (64 MiB where not given), split as at load. Changes nothing; waits
/// for the runs that came before it. A change may come out lower by a sixteenth of an engine's weights: less is not
/// worth moving the others for. The scratch memory of an engine that never streamed is not known, and not counted.
///
/// Returns InvalidArgument for an unknown id; Internal when an engine's runtime fails.
TORCHTRT_WS_API executorch::runtime::Result<int64_t> automatic_budget(const std::vector<uint64_t>& ids,
                                                                      std::optional<int64_t> margin = std::nullopt);

/// Makes what the engines `ids` keep from call to call, such as a cache of keys and values, what it was before their
/// first call. Waits for the calls that came before it. Engines that keep nothing are left alone.
///
/// Returns InvalidArgument for an unknown id; Internal when an engine's runtime fails: others may be reset then.
TORCHTRT_WS_API executorch::runtime::Error reset_state(const std::vector<uint64_t>& ids);

/// The same as set_budgets() for one engine.
TORCHTRT_WS_API executorch::runtime::Error set_budget(
    uint64_t id, executorch::runtime::Span<const executorch::runtime::BackendOption> options);

}  // namespace torchtrt_ws
