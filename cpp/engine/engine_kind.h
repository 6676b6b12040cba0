#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "blob/metadata.h"
#include "blob/verification.h"
#include "budget/request.h"
#include "engine/engine.h"
#include "engine/graph_use.h"
#include "engine/payload.h"
#include "engine/weights.h"
#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// What the delegate knows of an engine before it is deserialized.
struct OpenRequest {
  const Metadata& metadata;
  const std::string& name;
  std::optional<int> device_id;         // load-time choice of the device; beats the one in the metadata
  GraphUse cuda_graph = GraphUse::Off;  // engines without CUDA ignore it
  Verify verify = Verify::Checksum;     // how the payload is compared with the metadata; the engine does it as it reads
  const void* program = nullptr;        // tells the engines of one program from those of others; null: alone
  bool share_activation_memory = false;  // of its engines, which then run one after the other
  int64_t margin = kDefaultMargin;       // bytes that what nobody asked for leaves free on the device
  bool huge_pages = true;                // for the memory that large weights are read into; a wish
  std::string runtime_cache = "off";     // the folder of what TensorRT-RTX compiles; empty: the default; "off": none
  std::string refit_cache = "off";       // the folder of plans that were refitted; "off": none
  // For an engine whose metadata says that it has no weights: where they are, for as long as the call takes. null: the
  // program was loaded without data files.
  const WeightsSource* weights = nullptr;
};

/// What an engine kind is: how to deserialize one. The payload is released by the engine, as soon as it has no more use
/// for it. Fails with BadEngine, Incompatible, NotSupported, DoesNotFit or EngineFault.
using OpenEngine = Result<std::unique_ptr<Engine>> (*)(Payload payload, const OpenRequest& request);

/// Counts the layouts that adapters and this library share. Raise it with every change of a class or struct that
/// crosses between them: those of this file and of engine.h, engine_probe.h, graph_use.h, payload.h, surroundings.h,
/// weights.h, blob/metadata.h, blob/variant_facts.h, blob/weight_facts.h, blob/verification.h, budget/ladder.h,
/// base/result.h, torchtrt_ws/check.h and torchtrt_ws/new_weights.h.
inline constexpr int kEngineAbi = 9;

/// Makes an engine kind known; there is one for each adapter ("host", "tensorrt"), whose library calls this while it is
/// loaded, and stays loaded. Returns false for a second registration of a name, and for an adapter that was compiled
/// with another kEngineAbi: the log says so, and `open` is never called.
TORCHTRT_WS_API bool register_engine_kind(const char* name, OpenEngine open, int abi = kEngineAbi);

/// The kind of an engine that does not name it: "host" for an ExecuTorch program, else "tensorrt".
std::string guess_engine_kind(const uint8_t* engine, uint64_t size);

/// The registered kind `name`. When none is, loads its adapter: the library named by the environment variable
/// TORCHTRT_WS_<NAME>_LIBRARY (upper case), else libtorchtrt_ws_<name>.so beside this library.
/// Fails with NotSupported and the loader's own words, or where the adapter has another kEngineAbi. Exported for the
/// adapters' tests.
TORCHTRT_WS_API Result<OpenEngine> find_engine_kind(const std::string& name);

}  // namespace torchtrt_ws
