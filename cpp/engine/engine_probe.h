#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "blob/metadata.h"
#include "torchtrt_ws/api.h"
#include "torchtrt_ws/check.h"

namespace torchtrt_ws {

/// What is asked of an engine that is not opened.
struct ProbeRequest {
  const Metadata& metadata;
  const std::string& name;
  const uint8_t* engine;  // its bytes; only the first are read
  uint64_t size;
  int device;  // of CUDA, where it would be opened
};

/// What an engine kind can tell of one without opening it.
struct Probe {
  std::vector<CheckFact> facts;
  std::string device_name;            // as Engine::device_name()
  std::optional<int64_t> free_bytes;  // there; nullopt: cannot be told
  bool holds_all = false;             // of the engine, what cannot be streamed takes the device's memory
  std::optional<int64_t> lock_limit;  // bytes of a budget that can be locked in memory; nullopt: nothing is locked
};

/// Opens nothing, and fails as a fact.
using ProbeEngine = Probe (*)(const ProbeRequest& request);

/// An adapter calls this beside register_engine_kind(). kEngineAbi counts the structs above, too.
TORCHTRT_WS_API bool register_engine_probe(const char* name, ProbeEngine probe);

/// The probe of a registered kind; null for a kind that has none.
ProbeEngine find_engine_probe(const std::string& name);

/// A failure as a fact.
TORCHTRT_WS_API CheckFact fact_of(std::string name, Verdict verdict, const Failure& failure);

}  // namespace torchtrt_ws
