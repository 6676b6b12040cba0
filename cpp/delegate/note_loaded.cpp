#include "delegate/note_loaded.h"

#include "torchtrt_ws/load_scope.h"

namespace torchtrt_ws {
namespace {

thread_local std::vector<uint64_t>* innermost = nullptr;

}  // namespace

LoadScope::LoadScope() : outer_(innermost) { innermost = &ids_; }

LoadScope::~LoadScope() { innermost = outer_; }

void note_loaded(uint64_t id) {
  if (innermost != nullptr) innermost->push_back(id);
}

}  // namespace torchtrt_ws
