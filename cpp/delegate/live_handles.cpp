#include "delegate/live_handles.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/quote.h"

namespace torchtrt_ws {

std::string names_of(const Handles& handles) {
  std::string names;
  for (const auto& handle : handles) names += (names.empty() ? "" : ",") + handle->identity().name;
  return names;
}

Result<Handle*> find_named(const Handles& handles, std::string_view name, std::string_view key) {
  const auto found = std::find_if(handles.begin(), handles.end(),
                                  [name](const auto& handle) { return handle->identity().name == name; });
  if (found != handles.end()) return found->get();
  return Failure{ErrorCode::BadArgument, escaped(key), "no live engine of that name",
                 handles.empty() ? "a loaded program" : "one of " + names_of(handles),
                 "Load the program first, or mend the name"};
}

Result<Handles> find_all(const std::vector<uint64_t>& ids) {
  Handles handles;
  for (const uint64_t id : ids) {
    auto handle = LiveHandles::instance().find(id);
    if (handle == nullptr) {
      return Failure{ErrorCode::BadArgument, "engine id " + std::to_string(id), "no live engine",
                     "the id of a loaded engine", "Take it from torchtrt_ws::engines()"};
    }
    handles.push_back(std::move(handle));
  }
  return handles;
}

LiveHandles& LiveHandles::instance() {
  // Leaked: programs may be destroyed during static destruction.
  static auto* handles = new LiveHandles;
  return *handles;
}

uint64_t LiveHandles::next_id() {
  std::lock_guard<std::mutex> lock(mutex_);
  return ++last_id_;
}

void LiveHandles::add(std::shared_ptr<Handle> handle) {
  std::lock_guard<std::mutex> lock(mutex_);
  handles_.push_back(std::move(handle));
}

void LiveHandles::remove(const void* handle) {
  std::lock_guard<std::mutex> lock(mutex_);
  handles_.erase(
      std::remove_if(handles_.begin(), handles_.end(), [handle](const auto& live) { return live.get() == handle; }),
      handles_.end());
}

Handles LiveHandles::all() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return handles_;
}

std::shared_ptr<Handle> LiveHandles::find(uint64_t id) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found =
      std::find_if(handles_.begin(), handles_.end(), [id](const auto& live) { return live->identity().id == id; });
  return found == handles_.end() ? nullptr : *found;
}

std::shared_ptr<Handle> LiveHandles::find(const void* handle) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found =
      std::find_if(handles_.begin(), handles_.end(), [handle](const auto& live) { return live.get() == handle; });
  return found == handles_.end() ? nullptr : *found;
}

Handles LiveHandles::of(const void* scope) const {
  std::lock_guard<std::mutex> lock(mutex_);
  Handles found;
  std::copy_if(handles_.begin(), handles_.end(), std::back_inserter(found),
               [scope](const auto& live) { return live->identity().scope == scope; });
  return found;
}

Handles LiveHandles::sharing(const void* weights) const {
  std::lock_guard<std::mutex> lock(mutex_);
  Handles found;
  std::copy_if(handles_.begin(), handles_.end(), std::back_inserter(found),
               [weights](const auto& live) { return live->weights() == weights; });
  return found;
}

std::string LiveHandles::next_name(const void* scope) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto has = [&](const std::string& name) {
    return std::any_of(handles_.begin(), handles_.end(), [&](const auto& live) {
      return live->identity().scope == scope && live->identity().name == name;
    });
  };
  for (size_t number = 0;; ++number) {  // the first that is free: methods may be unloaded, and loaded again
    std::string name = "engine" + std::to_string(number);
    if (!has(name)) return name;
  }
}

}  // namespace torchtrt_ws
