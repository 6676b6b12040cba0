#include "delegate/note_loaded.h"

#include "torchtrt_ws/load_scope.h"

namespace torchtrt_ws {

static thread_local std::vector<uint64_t>* innermost = nullptr;

LoadScope::LoadScope() : outer_(innermost) { innermost = &ids_; }

LoadScope::~LoadScope() { innermost = outer_; }

void note_loaded(uint64_t id) {
  if (innermost != nullptr) innermost->push_back(id);
}

}  // namespace torchtrt_ws
