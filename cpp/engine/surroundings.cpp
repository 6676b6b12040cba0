#include "engine/surroundings.h"

#include <map>
#include <mutex>

namespace torchtrt_ws {
namespace {

struct Known {
  std::mutex mutex;  // guards `kinds`
  std::map<std::string, DescribeSurroundings> kinds;
};

Known& known() {
  static auto* known = new Known;  // leaked, as the kinds are: adapters register from static initializers
  return *known;
}

}  // namespace

bool register_surroundings(const char* name, DescribeSurroundings describe) {
  std::lock_guard<std::mutex> lock(known().mutex);
  return known().kinds.emplace(name, describe).second;
}

DescribeSurroundings find_surroundings(const std::string& name) {
  std::lock_guard<std::mutex> lock(known().mutex);
  const auto found = known().kinds.find(name);
  return found == known().kinds.end() ? nullptr : found->second;
}

}  // namespace torchtrt_ws
