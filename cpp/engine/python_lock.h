#pragma once

#include <unistd.h>

#include <functional>
#include <mutex>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// Whether this thread holds the global lock of Python's main interpreter. False without Python in the process, when it
/// has ended, and in a subinterpreter.
TORCHTRT_WS_API bool holds_python_lock() noexcept;

/// Does `work`, which takes Python's global lock, and returns unless Python ends meanwhile: then the thread stays here
/// for ever, as in Python 3.14. Before, Python ends a thread that asks for the lock then (pthread_exit), which unwinds
/// its stack as an exception does, and so ends the process at the first destructor. Hold nothing that others wait for.
/// `at_end` is called before it stays.
template <typename Work, typename AtEnd>
void or_stay(const Work& work, const AtEnd& at_end) noexcept {
  try {
    work();
  } catch (...) {  // pthread_exit's; to leave the block would end the process too
    at_end();
    for (;;) pause();
  }
}
template <typename Work>
void or_stay(const Work& work) noexcept {
  or_stay(work, [] {});
}

/// Lets other Python threads run while this thread waits, where it holds Python's global lock: callers such as
/// ExecuTorch's own Python runtime keep it in every call, and whoever we wait for may need it to write a line of log.
/// Without Python in the process, or without the lock, it does nothing.
class TORCHTRT_WS_API WithoutPythonLock {
 public:
  WithoutPythonLock() = default;
  /// Takes it again; hold no lock that somebody with Python's may wait for, unless he waits as this class does. Does
  /// not return when Python has ended meanwhile: what the thread holds stays taken then.
  ~WithoutPythonLock();
  WithoutPythonLock(const WithoutPythonLock&) = delete;
  WithoutPythonLock& operator=(const WithoutPythonLock&) = delete;

  /// Gives it back now; a second call does nothing. Returns whether it is given back.
  bool release() noexcept;

  /// Takes it again now, where it was given back. When Python has ended meanwhile calls `at_end`, to let go what others
  /// wait for, and does not return.
  void take_back(const std::function<void()>& at_end) noexcept;

 private:
  void* state_ = nullptr;  // PyThreadState*
};

/// Locks `mutex`; where it has to wait for that, without Python's lock. For mutexes under which something is logged.
template <typename Mutex>
[[nodiscard]] std::unique_lock<Mutex> lock_patiently(Mutex& mutex) {
  std::unique_lock<Mutex> lock(mutex, std::defer_lock);
  while (!lock.try_lock()) {
    WithoutPythonLock unlocked;
    const bool released = unlocked.release();
    lock.lock();
    if (!released) return lock;
    // Not kept while it waits for Python's: a thread that Python's end keeps for ever would keep the mutex, and who
    // ends Python may have programs to unload.
    lock.unlock();
  }
  return lock;
}

}  // namespace torchtrt_ws
