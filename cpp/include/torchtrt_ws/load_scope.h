#pragma once

#include <cstdint>
#include <vector>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// Collects the ids of the engines that this thread loads while it lives, in loading order:
///
///     LoadScope scope;
///     module.load_method("forward");
///     scope.ids();
///
/// Scopes nest; an engine is seen by the innermost. Each is destroyed on the thread that made it.
class TORCHTRT_WS_API LoadScope {
 public:
  LoadScope();
  ~LoadScope();
  LoadScope(const LoadScope&) = delete;
  LoadScope& operator=(const LoadScope&) = delete;

  /// Ids for engine() and set_budget() (engines.h); valid while the scope lives. Some may have been destroyed since.
  const std::vector<uint64_t>& ids() const { return ids_; }

 private:
  std::vector<uint64_t> ids_;
  std::vector<uint64_t>* outer_;  // ids_ of the scope around this one; null for the outermost
};

}  // namespace torchtrt_ws
