#include "engine/python_lock.h"

#include <dlfcn.h>

namespace torchtrt_ws {
namespace {

/// Of Python's stable C interface, looked up in the process: this library does not link to it.
struct Python {
  int (*is_initialized)();
  int (*holds_lock)();
  void* (*release)();
  void (*take)(void*);
};

template <typename Function>
void look_up(Function& function, const char* name) {
  function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

const Python* find_python() {
  static Python python;
  look_up(python.is_initialized, "Py_IsInitialized");
  look_up(python.holds_lock, "PyGILState_Check");
  look_up(python.release, "PyEval_SaveThread");
  look_up(python.take, "PyEval_RestoreThread");
  const bool found = python.is_initialized != nullptr && python.holds_lock != nullptr && python.release != nullptr &&
                     python.take != nullptr;
  return found ? &python : nullptr;
}

const Python* python() {
  static const Python* const found = find_python();
  return found;
}

}  // namespace

void WithoutPythonLock::release() noexcept {
  if (state_ != nullptr || python() == nullptr) return;
  if (python()->is_initialized() != 0 && python()->holds_lock() == 1) state_ = python()->release();
}

WithoutPythonLock::~WithoutPythonLock() {
  if (state_ != nullptr) python()->take(state_);
}

}  // namespace torchtrt_ws
