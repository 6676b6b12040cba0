#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "delegate/handle.h"
#include "delegate/paused_sharers.h"

namespace torchtrt_ws {

/// An engine and those that share its weights, with their turns held and without contexts: so that the weights can
/// change. planning() is held; several may live at the same time.
class Handle::Refitting {
 public:
  /// Waits for the calls before it.
  explicit Refitting(Handle& handle);
  ~Refitting();
  Refitting(const Refitting&) = delete;
  Refitting& operator=(const Refitting&) = delete;

  /// Engine::refit(). Fails with WrongState when the engine is gone.
  Status refit(const std::vector<NewWeight>& weights);

  /// Puts back what refit() replaced, or says in the log why not. Does nothing where nothing was.
  void undo();

  /// Makes the contexts of before again. One that fails is made by the engine's next run, and the log says so.
  void resume();

 private:
  Handle& handle_;
  std::unique_lock<Turns> turn_;
  bool had_context_ = false;
  PausedSharers sharers_;
  UndoRefit undo_;
};

}  // namespace torchtrt_ws
