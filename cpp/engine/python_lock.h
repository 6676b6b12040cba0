#pragma once

#include <mutex>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// Whether this thread holds the global lock of Python's main interpreter. False without Python in the process, when it
/// has ended, and in a subinterpreter.
TORCHTRT_WS_API bool holds_python_lock() noexcept;

/// Lets other Python threads run while this thread waits, where it holds Python's global lock: callers such as
/// ExecuTorch's own Python runtime keep it in every call, and whoever we wait for may need it to write a line of log.
/// Without Python in the process, or without the lock, it does nothing.
class TORCHTRT_WS_API WithoutPythonLock {
 public:
  WithoutPythonLock() = default;
  /// Takes it again; hold no lock that somebody with Python's may wait for, unless he waits as this class does.
  ~WithoutPythonLock();
  WithoutPythonLock(const WithoutPythonLock&) = delete;
  WithoutPythonLock& operator=(const WithoutPythonLock&) = delete;

  /// Gives it back now; a second call does nothing.
  void release() noexcept;

 private:
  void* state_ = nullptr;  // PyThreadState*
};

/// Locks `mutex`; where it has to wait for that, without Python's lock. For mutexes under which something is logged.
template <typename Mutex>
[[nodiscard]] std::unique_lock<Mutex> lock_patiently(Mutex& mutex) {
  std::unique_lock<Mutex> lock(mutex, std::try_to_lock);
  if (lock.owns_lock()) return lock;
  WithoutPythonLock unlocked;
  unlocked.release();
  lock.lock();
  return lock;
}

}  // namespace torchtrt_ws
