#include "engine/python_lock.h"

#include <dlfcn.h>

namespace torchtrt_ws {
namespace {

/// Of Python's C interface, looked up in the process: this library does not link to it.
struct Python {
  int (*is_initialized)();
  void* (*state_of_thread)();
  void* (*state_in_use)();
  void* (*release)();
  void (*take)(void*);
};

template <typename Function>
bool look_up(Function& function, const char* name) {
  function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
  return function != nullptr;
}

const Python* find_python() {
  static Python python;
  const bool found = look_up(python.is_initialized, "Py_IsInitialized") &&
                     look_up(python.state_of_thread, "PyGILState_GetThisThreadState") &&
                     // Its name since 3.13, which the stable ABI does not have, and the one before.
                     (look_up(python.state_in_use, "PyThreadState_GetUnchecked") ||
                      look_up(python.state_in_use, "_PyThreadState_UncheckedGet")) &&
                     look_up(python.release, "PyEval_SaveThread") && look_up(python.take, "PyEval_RestoreThread");
  return found ? &python : nullptr;
}

const Python* python() {
  static const Python* const found = find_python();
  return found;
}

}  // namespace

// Not PyGILState_Check(): from the first subinterpreter of a process on it says yes to every thread, also when that
// interpreter is gone again. This is what it compares before.
bool holds_python_lock() noexcept {
  if (python() == nullptr || python()->is_initialized() == 0) return false;
  const void* const state = python()->state_of_thread();
  return state != nullptr && state == python()->state_in_use();
}

bool WithoutPythonLock::release() noexcept {
  if (state_ == nullptr && holds_python_lock()) state_ = python()->release();
  return state_ != nullptr;
}

void WithoutPythonLock::take_back(const std::function<void()>& at_end) noexcept {
  if (state_ == nullptr) return;
  or_stay([this] { python()->take(state_); }, at_end);
  state_ = nullptr;
}

WithoutPythonLock::~WithoutPythonLock() {
  take_back([] {});
}

}  // namespace torchtrt_ws
