#pragma once

#include <executorch/runtime/backend/options.h>
#include <executorch/runtime/core/error.h>
#include <executorch/runtime/core/span.h>

#include <cstdint>
#include <string>
#include <vector>

namespace torchtrt_ws {

/// The delegate's backend id, as Torch-TensorRT writes it into a program.
inline constexpr char kBackendId[] = "TensorRTBackend";

/// What one loaded engine says of itself. Sizes are bytes.
struct EngineReport {
  uint64_t id = 0;               // never reused within a process
  std::string name;              // as in the file; `engine0`, `engine1`, ... in files without our metadata
  std::string method;            // the ExecuTorch method it belongs to
  std::string kind;              // "host" or "tensorrt"
  int64_t streamable_bytes = 0;  // weights that can stay in host memory; 0: not built with weight streaming
  int64_t budget_bytes = 0;      // of these, kept on the device; read back from the engine
  std::string source;            // who decided: "load-time (engine)", "load-time", "baked", "automatic", "none"
  int64_t scratch_bytes = 0;     // device memory that streaming needs beside the budget
  int64_t device_bytes = 0;      // on the device now: weights, scratch and context
  uint64_t runs = 0;             // calls that succeeded
  double seconds = 0;            // spent in them
};

/// Reports of all live engines of the process, in loading order. Waits for work in flight on each.
std::vector<EngineReport> engines();

/// Report of one engine; its `id` is 0 when no engine with this id is alive.
EngineReport engine(uint64_t id);

/// Changes the budget of one engine, with the option keys of load time (README, "Options"). Waits for work in flight,
/// drops the execution context, sets the budget and makes the context again; when that fails the old budget is put
/// back.
///
/// Returns InvalidProgram for options that cannot be read, MemoryAllocationFailed when the budget does not fit,
/// InvalidArgument for an unknown id; last_error() has the words.
executorch::runtime::Error set_budget(uint64_t id,
                                      executorch::runtime::Span<const executorch::runtime::BackendOption> options);

/// Collects the ids of the engines that this thread loads while it lives, in loading order:
///
///     LoadScope scope;
///     module.load_method("forward");
///     scope.ids();
///
/// Scopes nest; an engine is seen by the innermost. (A host engine runs a program of its own, which loads none of
/// ours.)
class LoadScope {
 public:
  LoadScope();
  ~LoadScope();
  LoadScope(const LoadScope&) = delete;
  LoadScope& operator=(const LoadScope&) = delete;

  const std::vector<uint64_t>& ids() const { return ids_; }

  /// For the delegate: tells the innermost scope of this thread.
  static void note(uint64_t id);

 private:
  std::vector<uint64_t> ids_;
  LoadScope* outer_;
};

/// A failure in the words of the delegate; ExecuTorch itself only carries the code.
struct LastError {
  executorch::runtime::Error error = executorch::runtime::Error::Ok;
  std::string subject;    // the option, file, tensor or engine it is about
  std::string found;      // what was there
  std::string expected;   // what is accepted
  std::string next_step;  // what to do now
  std::string message;    // all four as one sentence
};

/// The last failure that the delegate reported on this thread; `error` is Ok when there was none since
/// clear_last_error().
LastError last_error();
void clear_last_error() noexcept;

/// Loads the adapter of an engine kind ("host" or "tensorrt") now, not when the first engine of that kind is loaded.
/// A program that plans delegate tensors in device memory (compile spec `target_device`) needs this before it is
/// loaded: the adapter brings ExecuTorch's CUDA DeviceAllocator. Returns NotSupported when there is none; see
/// last_error().
executorch::runtime::Error load_adapter(const std::string& kind);

/// Whether this library's delegate is the one ExecuTorch will use: Ok, or RegistrationAlreadyRegistered when another
/// library (Torch-TensorRT's runtime, say) had registered the backend id before this one was loaded.
executorch::runtime::Error registration_status();

}  // namespace torchtrt_ws
