#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "blob/variant_facts.h"
#include "blob/weight_facts.h"

namespace torchtrt_ws {

/// One entry of `io_bindings`, in delegate-argument order. `shape` holds -1 for a dynamic dimension.
struct Binding {
  std::string name;
  std::string dtype;  ///< As written; Torch-TensorRT leaves it empty at times.
  std::vector<int64_t> shape;
  bool is_input;
};

/// One entry of `aliased_io`: the output is written into the input's buffer.
struct Alias {
  std::string output;
  std::string input;
  std::string kind;  ///< "kv_cache_update" (also when the blob gives none) or "user".
};

/// One input or output as torchtrt-ws records it.
struct TensorFacts {
  std::string name;
  std::string dtype;           ///< torch's name without "torch.", such as "float16".
  std::vector<int64_t> shape;  ///< -1 for a dynamic dimension.
  std::vector<int64_t> min;    ///< Same rank; equal to `shape` where that is static.
  std::vector<int64_t> max;    ///< Same rank; not below `min`.
};

/// What one input may be in one optimization profile. Of its rank; min <= opt <= max, within the input's bounds.
struct ProfileBounds {
  std::vector<int64_t> min;
  std::vector<int64_t> opt;  ///< What it is optimized for.
  std::vector<int64_t> max;
};

/// A buffer that an engine keeps from call to call: an input and an output of the engine, and none of a call. It begins
/// with zeros; what the engine gives as `output` is `input` of the next call.
struct StateTensor {
  std::string input;
  std::string output;
  std::string dtype;           ///< As in TensorFacts.
  std::vector<int64_t> shape;  ///< Without dynamic dimensions.
};

/// The `torchtrt_ws` key. Sizes are bytes; nullopt: not known at save.
struct OwnFacts {
  int schema;
  std::string name;                ///< Unique in the program; is_engine_name() holds.
  std::string kind;                ///< "host", "tensorrt", ... The reader does not know which kinds exist.
  std::string sha256;              ///< 64 lower-case hex digits, of the engine's bytes. Compared by Verification.
  std::optional<uint32_t> crc32c;  ///< Of the engine's bytes; nullopt: a file of an early version.
  bool keeps_state = false;        ///< A call changes buffers that the next one sees.
  std::vector<StateTensor> state;  ///< Of a plan: what `keeps_state` is about. No name is one in io_bindings, or twice.
  std::string nested_method;       ///< Of the program inside a host engine; "forward" where the file does not say.
  std::string builder;             ///< For people: "executorch 1.5.1".
  std::optional<int64_t> streamable_bytes;
  bool streamable_estimated;
  std::optional<int64_t> scratch_estimate;          ///< Of the export for streaming; nullopt: not recorded.
  int program_engines;                              ///< 1 or more.
  std::optional<int64_t> program_streamable_bytes;  ///< Each engine counts.
  std::optional<int64_t> program_distinct_bytes;  ///< Engines on the same weights count once; nullopt: there are none.
  std::vector<TensorFacts> inputs;                ///< Same names and order as the inputs of io_bindings.
  std::vector<TensorFacts> outputs;               ///< Same names and order as the outputs of io_bindings.
  std::vector<std::vector<ProfileBounds>> profiles;  ///< For each, one for each of `inputs`. Empty: not known at save.
  std::optional<SeparateWeights> weights;            ///< The engine's bytes have none; nullopt: they have them all.
  std::vector<std::string> compute_capabilities;     ///< Of the plan: "8.9", ...; empty: not known to be bound to some.
  std::vector<VariantFacts> variants;       ///< Where there are several plans: `sha256` and `crc32c` are of all bytes.
  std::vector<std::string> method_inputs;   ///< Of the program's method that it belongs to. Empty: not recorded.
  std::vector<std::string> method_outputs;  ///< Likewise.
};

struct Metadata {
  std::vector<Binding> io_bindings;
  std::vector<Alias> aliased_io;
  bool hardware_compatible;
  int device_id;                ///< [0, 2^31).
  std::string target_platform;  ///< May be empty.
  std::string engine_key;       ///< Of Torch-TensorRT 2.15's engines outside of the blob; empty: nothing of the kind.
  std::optional<OwnFacts> own;  ///< nullopt: a Torch-TensorRT file.
};

/// Reads the metadata of an engine blob: hostile JSON. Unknown keys are ignored; `serialized_metadata` (a base64 pickle
/// in Torch-TensorRT's files) is never decoded.
///
/// Only `io_bindings` is required of a Torch-TensorRT file; the other keys have the defaults of its own reader. All of
/// schema 1 but `builder`, `streamable_bytes` and `streamable_estimated` is required of ours; schema 2 has `weights`,
/// schema 3 `variants` too. Errors: BadBlob for text that is no JSON object (strict: UTF-8, no comments, no NaN), that
/// is over 4 MiB or 32 levels, that repeats a key in one object, or has a missing, wrongly typed or out-of-range value;
/// NewerSchema. Never throws, but for std::bad_alloc. Cases: tests/blob/golden, tests/blob/hostile.
[[nodiscard]] Result<Metadata> parse_metadata(std::string_view json);

}  // namespace torchtrt_ws
