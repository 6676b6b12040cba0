#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace torchtrt_ws {

class Fields;  // blob/fields.h

/// One weight of an engine whose blob has none: where its bytes are, and what they must be.
struct WeightFacts {
  std::string name;    ///< In the engine: TensorRT's (IRefitter), or what a nested program asks its data map for.
  std::string key;     ///< In the companion's named data; equal weights have one.
  std::string dtype;   ///< torch's name without "torch.", such as "float16".
  int64_t count;       ///< Elements; 1 or more.
  int64_t bytes;       ///< 1 or more. Raw, little-endian.
  uint32_t crc32c;     ///< Of these bytes.
  std::string sha256;  ///< Likewise; 64 lower-case hex digits.
  std::optional<std::vector<int64_t>> shape;  ///< Row by row; where ExecuTorch itself reads the constant.
};

/// The `weights` of the `torchtrt_ws` key: an engine without weights, and where they are.
struct SeparateWeights {
  std::string file;                  ///< The companion's name, without a folder. For messages: keys tell the contents.
  std::vector<WeightFacts> tensors;  ///< 1 or more, each name once.
};

/// Reads that object; what is wrong with it is the failure of `fields`' document.
[[nodiscard]] SeparateWeights read_weights(Fields& fields);

/// The `crc32c` of an object as 8 lower-case hex digits, where the key is there.
[[nodiscard]] std::optional<uint32_t> read_crc32c(Fields& fields);

/// 64 lower-case hex digits?
[[nodiscard]] bool is_sha256(const std::string& text) noexcept;

}  // namespace torchtrt_ws
