#include "torchtrt_ws/engines.h"

namespace torchtrt_ws {
namespace {

thread_local LoadScope* innermost = nullptr;

}  // namespace

LoadScope::LoadScope() : outer_(innermost) { innermost = this; }

LoadScope::~LoadScope() { innermost = outer_; }

void LoadScope::note(uint64_t id) {
  if (innermost != nullptr) innermost->ids_.push_back(id);
}

}  // namespace torchtrt_ws
