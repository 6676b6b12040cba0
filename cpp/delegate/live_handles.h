#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "delegate/handle.h"

namespace torchtrt_ws {

/// Names of engines with commas, in the order of `handles`.
std::string names_of(const Handles& handles);

/// The engine called `name`, for which the option `key` asks. Fails with BadArgument, saying which there are. `handles`
/// owns it.
Result<Handle*> find_named(const Handles& handles, std::string_view name, std::string_view key);

/// The live engines `ids`, in that order. Fails with BadArgument for one that is not alive.
Result<Handles> find_all(const std::vector<uint64_t>& ids);

/// The live handles of the process. ExecuTorch gives set_option() and get_option() no handle, so they go through here.
/// Locks: see delegate/handle.h.
class LiveHandles {
 public:
  static LiveHandles& instance();

  uint64_t next_id();
  void add(std::shared_ptr<Handle> handle);

  /// Unlists it; it is closed by now.
  void remove(const void* handle);

  /// All, in loading order.
  Handles all() const;
  std::shared_ptr<Handle> find(uint64_t id) const;
  std::shared_ptr<Handle> find(const void* handle) const;

  /// Those of one program (Identity::scope), in loading order.
  Handles of(const void* scope) const;

  /// Those on the same weights (Engine::weights()), in loading order.
  Handles sharing(const void* weights) const;

  /// `engine0`, `engine1`, ...: the name of the next engine of a program, if it has none; counts the program's engines.
  std::string next_name(const void* scope) const;

 private:
  mutable std::mutex mutex_;
  uint64_t last_id_ = 0;
  Handles handles_;
};

}  // namespace torchtrt_ws
