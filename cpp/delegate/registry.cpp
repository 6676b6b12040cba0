#include "delegate/registry.h"

#include <algorithm>
#include <utility>

namespace torchtrt_ws {

Registry& Registry::instance() {
  // Leaked: programs may be destroyed during static destruction.
  static auto* registry = new Registry;
  return *registry;
}

uint64_t Registry::next_id() {
  std::lock_guard<std::mutex> lock(mutex_);
  return ++last_id_;
}

void Registry::add(std::shared_ptr<Handle> handle) {
  std::lock_guard<std::mutex> lock(mutex_);
  handles_.push_back(std::move(handle));
}

std::shared_ptr<Handle> Registry::remove(const void* handle) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found =
      std::find_if(handles_.begin(), handles_.end(), [handle](const auto& live) { return live.get() == handle; });
  if (found == handles_.end()) return nullptr;
  std::shared_ptr<Handle> removed = std::move(*found);
  handles_.erase(found);
  return removed;
}

std::vector<std::shared_ptr<Handle>> Registry::all() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return handles_;
}

std::shared_ptr<Handle> Registry::find(uint64_t id) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found =
      std::find_if(handles_.begin(), handles_.end(), [id](const auto& live) { return live->identity().id == id; });
  return found == handles_.end() ? nullptr : *found;
}

std::string Registry::next_name(const void* scope) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto loaded = std::count_if(handles_.begin(), handles_.end(),
                                    [scope](const auto& live) { return live->identity().scope == scope; });
  return "engine" + std::to_string(loaded);
}

}  // namespace torchtrt_ws
