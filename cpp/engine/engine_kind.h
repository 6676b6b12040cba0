#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "engine/engine.h"

namespace torchtrt_ws {

/// Makes an engine kind known. Called by an adapter's library while it is loaded; `kind` must live as long as the
/// process. The first registration of a name stays; a second is refused (returns false).
__attribute__((visibility("default"))) bool register_engine_kind(EngineKind& kind);

/// The kind of an engine that does not name it: "host" for an ExecuTorch program (`ET12` at byte 4), else "tensorrt".
/// A TensorRT plan has no magic of its own; a TensorRT-RTX plan starts with `vtrt`.
std::string guess_engine_kind(const uint8_t* engine, uint64_t size);

/// The registered kind `name`. When none is, loads its adapter: the library named by the environment variable
/// TORCHTRT_WS_<NAME>_LIBRARY (upper case), else libtorchtrt_ws_<name>.so beside this library.
/// Fails with NotSupported and the loader's own words.
Result<EngineKind*> find_engine_kind(const std::string& name);

}  // namespace torchtrt_ws
