#pragma once

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/span.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "budget/request.h"
#include "budget/resolve.h"
#include "delegate/apply.h"
#include "engine/engine.h"
#include "torchtrt_ws/engines.h"

namespace torchtrt_ws {

/// What names one loaded engine; never changes.
struct Identity {
  uint64_t id;
  std::string name;
  std::string method;
  std::string kind;
  const void* scope;  // the runtime allocator, which one extension::Module's methods share: it tells programs apart
};

/// One loaded engine behind an ExecuTorch delegate handle.
///
/// The delegate has two locks, never held at once. This is the only place that says so.
///
///     LiveHandles::mutex_  the list of live handles. Held to read or change it, never across a call of an engine.
///     Handle::mutex_       all members below it. Every member function but identity() holds it for the whole call.
///
/// Destroying unlists first, then drops the engine under mutex_: a change_budget() that holds an older copy of the
/// list finds no engine and does nothing.
class Handle {
 public:
  Handle(Identity identity, std::optional<Shares> shares, std::unique_ptr<Engine> engine, const Applied& applied);

  const Identity& identity() const { return identity_; }

  /// Runs once. Errors: BadArgument, and what the engine's run() returns.
  Status execute(executorch::runtime::Span<executorch::runtime::EValue*> args);

  /// Applies a request of load-time options (no baked value) and returns what was there before, for undo_change().
  /// When it fails the old budget is back. nullopt: the engine is gone, or nothing was asked of it.
  struct Previous {
    int64_t budget;
    Source source;
  };
  Result<std::optional<Previous>> change_budget(const Request& request);

  /// Puts back what a change_budget() that succeeded replaced; where that cannot be, says so in the log.
  void undo_change(const Previous& previous);

  EngineReport report() const;

  /// Drops the engine; waits for a call in flight.
  void close() noexcept;

 private:
  void restore_locked(const Previous& previous);

  const Identity identity_;
  const std::optional<Shares> shares_;

  mutable std::mutex mutex_;
  std::unique_ptr<Engine> engine_;
  Source source_;
  uint64_t runs_ = 0;
  std::chrono::duration<double> seconds_{0};
  std::vector<TensorView> inputs_;  // of the call in progress; kept so that a call allocates nothing
};

}  // namespace torchtrt_ws
