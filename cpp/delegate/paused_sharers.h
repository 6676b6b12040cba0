#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "delegate/handle.h"

namespace torchtrt_ws {

/// The other engines on the same weights, with their turns held and without contexts: only so the budget can change.
/// planning() is held, so nobody else holds several turns.
class Handle::PausedSharers {
 public:
  explicit PausedSharers(const Handle& own) : PausedSharers(own.weights_, &own) {}
  /// Of all on `weights` but `own`, whose turn the caller has; null: of all.
  PausedSharers(const void* weights, const Handle* own);
  ~PausedSharers();
  PausedSharers(const PausedSharers&) = delete;
  PausedSharers& operator=(const PausedSharers&) = delete;

  /// Of all engines on these weights that are awake: the paused ones and the one that pauses them.
  int contexts() const;

  void drop_contexts() noexcept;

  /// Makes the contexts again; all are tried, and the first failure is returned. An engine without one makes it when it
  /// runs next.
  Status make_contexts();

  /// The budget is everybody's, and so is who decided it, what was taken of it, and what it will be after sleeping.
  void agree_with(const Handle& own) noexcept;

 private:
  struct Paused {
    std::shared_ptr<Handle> handle;
    bool had_context;
  };
  std::vector<Paused> paused_;
};

}  // namespace torchtrt_ws
