#include "engine/engine_kind.h"

#include <dlfcn.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>
#include <mutex>

#include "base/quote.h"
#include "engine/log.h"

namespace torchtrt_ws {
namespace {

struct Kinds {
  std::mutex mutex;  // guards the maps; never held while a library loads, since loading registers
  std::map<std::string, OpenEngine> accepted;
  std::map<std::string, Failure> refused;
};

Kinds& kinds() {
  // Leaked: adapters register from static initializers and may be asked for during static destruction.
  static auto* kinds = new Kinds;
  return *kinds;
}

template <typename Value>
std::optional<Value> look_up(const std::map<std::string, Value>& map, const std::string& name) {
  std::lock_guard<std::mutex> lock(kinds().mutex);
  const auto found = map.find(name);
  return found == map.end() ? std::nullopt : std::optional<Value>(found->second);
}

std::string library_variable(const std::string& name) {
  std::string upper = name;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return "TORCHTRT_WS_" + upper + "_LIBRARY";
}

/// Path of the adapter's library beside this one.
std::string default_library(const std::string& name) {
  std::string file = "libtorchtrt_ws_" + name + ".so";
  Dl_info self{};
  if (dladdr(reinterpret_cast<void*>(&default_library), &self) == 0 || self.dli_fname == nullptr) return file;
  const std::string path = self.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? file : path.substr(0, slash + 1) + file;
}

bool is_kind_name(const std::string& name) {
  return !name.empty() && name.size() <= 32 &&
         std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

}  // namespace

bool register_engine_kind(const char* name, OpenEngine open, int abi) {
  std::lock_guard<std::mutex> lock(kinds().mutex);
  if (abi == kEngineAbi) return kinds().accepted.emplace(name, open).second;
  const Failure other_abi{ErrorCode::NotSupported, "engine kind " + in_quotes(name),
                          "an adapter of ABI " + std::to_string(abi),
                          "ABI " + std::to_string(kEngineAbi) + ", as this library has",
                          "Install the library and its adapters from one version of torchtrt-ws"};
  log_error(other_abi.message());
  kinds().refused.insert_or_assign(name, other_abi);
  return false;
}

std::string guess_engine_kind(const uint8_t* engine, uint64_t size) {
  return is_executorch_program(engine, size) ? "host" : "tensorrt";
}

Result<OpenEngine> find_engine_kind(const std::string& name) {
  if (auto open = look_up(kinds().accepted, name)) return *open;
  // The name comes from a file: it must not choose a path.
  if (!is_kind_name(name)) {
    return Failure{ErrorCode::NotSupported, "engine kind", in_quotes(name), "\"host\" or \"tensorrt\"",
                   "The file asks for an engine this version does not know; upgrade torchtrt-ws."};
  }
  const std::string variable = library_variable(name);
  const char* chosen = std::getenv(variable.c_str());
  const std::string library = chosen != nullptr && *chosen != '\0' ? chosen : default_library(name);
  const bool loaded = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr;
  const char* words = loaded ? nullptr : dlerror();
  if (auto open = look_up(kinds().accepted, name)) return *open;
  if (auto failure = look_up(kinds().refused, name)) return *std::move(failure);
  return Failure{ErrorCode::NotSupported, "engine kind " + in_quotes(name),
                 loaded ? library + ", which registers no such kind" : std::string(words != nullptr ? words : library),
                 "an adapter library for it",
                 "Install torchtrt-ws with that adapter, or set " + variable + " to its path."};
}

}  // namespace torchtrt_ws
