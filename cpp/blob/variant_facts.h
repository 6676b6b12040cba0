#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "blob/weight_facts.h"

namespace torchtrt_ws {

class Fields;  // blob/fields.h

/// One of several plans for one engine, for other GPUs or versions of TensorRT. Sizes are bytes.
struct VariantFacts {
  uint64_t offset;      ///< From the start of the engine in the blob; a multiple of 16. The first one's is 0.
  uint64_t size;        ///< 1 or more.
  std::string sha256;   ///< 64 lower-case hex digits, of the plan.
  uint32_t crc32c = 0;  ///< Likewise.
  std::string builder;  ///< For people.
  std::string runtime;  ///< What reads it: "tensorrt_rtx 1.6.1"; empty: not known.
  std::vector<std::string> compute_capabilities;  ///< "8.9", ...; empty: it is not known to be bound to some.
  bool hardware_compatible = false;               ///< It runs on others, too.
  std::optional<int64_t> streamable_bytes;
  bool streamable_estimated = false;
  std::optional<std::vector<std::string>> weights;  ///< By name, those that it takes; nullopt: all of the engine.
};

/// Reads the list `variants` of the `torchtrt_ws` key, which is there: 2 to wire::kMaxVariants plans that follow each
/// other. `weights`: of the engine. Whether they lie within the engine is read_blob()'s to say. What is wrong is the
/// failure of `own`'s document.
[[nodiscard]] std::vector<VariantFacts> read_variants(Fields& own, const std::optional<SeparateWeights>& weights);

/// Reads the list `compute_capabilities` of an object; empty where it is absent.
[[nodiscard]] std::vector<std::string> read_compute_capabilities(Fields& fields);

/// For people: "compute capability 8.9, tensorrt_rtx 1.6.1", or what of it is known.
[[nodiscard]] std::string made_for(const VariantFacts& variant);

}  // namespace torchtrt_ws
