#pragma once

#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "digest/crc32c.h"
#include "digest/sha256.h"
#include "engine/weights.h"

namespace torchtrt_ws::testing {

/// Weights in memory, as a companion file has them, and the list of them that a program has. Both can be made wrong.
class HeldWeights final : public WeightsSource {
 public:
  explicit HeldWeights(std::string file = "model.ptd") { listed.file = std::move(file); }

  void add(const std::string& name, const std::string& dtype, int64_t count, std::vector<uint8_t> bytes) {
    Crc32c crc;
    crc.update(bytes.data(), bytes.size());
    const std::string digest = sha256_hex(bytes.data(), bytes.size());
    const std::string key = "torchtrt_ws.weights/" + digest;
    listed.tensors.push_back(
        {name, key, dtype, count, static_cast<int64_t>(bytes.size()), crc.value(), digest, std::nullopt});
    held[key] = std::move(bytes);
  }

  void add(const std::string& name, const std::vector<float>& values) {
    std::vector<uint8_t> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    add(name, "float32", static_cast<int64_t>(values.size()), std::move(bytes));
  }

  [[nodiscard]] Result<Payload> find(const std::string& key, const std::string& weight) const override {
    const auto found = held.find(key);
    if (found == held.end()) {
      return Failure{ErrorCode::BadEngine, weight, "no such weight in the data files", "its bytes", "Load them"};
    }
    ++given;
    return Payload(found->second.data(), found->second.size(), [this] { --given; });
  }

  /// `metadata`, of an engine of our own whose weights these are.
  [[nodiscard]] Metadata metadata(Metadata metadata) const {
    OwnFacts own{};
    own.schema = 2;
    own.name = "forward";
    own.kind = "tensorrt";
    own.sha256 = std::string(64, '0');
    own.program_engines = 1;
    for (const Binding& binding : metadata.io_bindings) {
      TensorFacts facts{binding.name, binding.dtype, binding.shape, binding.shape, binding.shape};
      for (size_t i = 0; i < facts.shape.size(); ++i) {
        if (facts.shape[i] != -1) continue;
        facts.min[i] = 1;
        facts.max[i] = 8;
      }
      (binding.is_input ? own.inputs : own.outputs).push_back(std::move(facts));
    }
    own.weights = listed;
    metadata.own = std::move(own);
    return metadata;
  }

  SeparateWeights listed;
  std::map<std::string, std::vector<uint8_t>> held;  // by key
  mutable int given = 0;                             // payloads that nobody has released yet
};

}  // namespace torchtrt_ws::testing
