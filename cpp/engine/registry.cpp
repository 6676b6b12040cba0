#include "engine/registry.h"

#include <dlfcn.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

namespace torchtrt_ws {
namespace {

struct Kinds {
  std::mutex mutex;  // guards `list`; never held while a library loads, since loading registers
  std::vector<EngineKind*> list;
};

Kinds& kinds() {
  // Leaked: adapters register from static initializers and may be asked for during static destruction.
  static auto* kinds = new Kinds;
  return *kinds;
}

EngineKind* registered(const std::string& name) {
  Kinds& all = kinds();
  std::lock_guard<std::mutex> lock(all.mutex);
  for (EngineKind* kind : all.list) {
    if (name == kind->name()) return kind;
  }
  return nullptr;
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

bool register_engine_kind(EngineKind& kind) {
  if (registered(kind.name()) != nullptr) return false;
  Kinds& all = kinds();
  std::lock_guard<std::mutex> lock(all.mutex);
  all.list.push_back(&kind);
  return true;
}

std::string guess_engine_kind(const uint8_t* engine, uint64_t size) {
  constexpr uint64_t kIdentifierOffset = 4;  // of a flatbuffer; ExecuTorch's schema/program.fbs names the identifier
  const bool is_program = size >= 8 && std::memcmp(engine + kIdentifierOffset, "ET12", 4) == 0;
  return is_program ? "host" : "tensorrt";
}

Result<EngineKind*> find_engine_kind(const std::string& name) {
  if (EngineKind* kind = registered(name)) return kind;
  // The name comes from a file: it must not choose a path.
  if (!is_kind_name(name)) {
    return Failure{ErrorCode::NotSupported, "engine kind", "\"" + name + "\"", "\"host\" or \"tensorrt\"",
                   "The file asks for an engine this version does not know; upgrade torchtrt-ws."};
  }
  const std::string variable = library_variable(name);
  const char* chosen = std::getenv(variable.c_str());
  const std::string library = chosen != nullptr && *chosen != '\0' ? chosen : default_library(name);
  const bool loaded = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr;
  const char* words = loaded ? nullptr : dlerror();
  if (EngineKind* kind = registered(name)) return kind;
  return Failure{ErrorCode::NotSupported, "engine kind \"" + name + "\"",
                 loaded ? library + ", which registers no such kind" : std::string(words != nullptr ? words : library),
                 "an adapter library for it",
                 "Install torchtrt-ws with that adapter, or set " + variable + " to its path."};
}

}  // namespace torchtrt_ws
