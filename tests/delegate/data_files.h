#pragma once

#include <executorch/runtime/core/named_data_map.h>

#include <map>
#include <string>
#include <utility>

#include "digest/crc32c.h"
#include "digest/sha256.h"
#include "fake_engine.h"

namespace torchtrt_ws::testing {

/// What ExecuTorch makes of data files: names, and where their bytes are.
class DataMap final : public executorch::runtime::NamedDataMap {
 public:
  executorch::runtime::Result<const executorch::runtime::TensorLayout> get_tensor_layout(
      std::string_view) const override {
    return executorch::runtime::Error::NotFound;
  }
  executorch::runtime::Result<executorch::runtime::FreeableBuffer> get_data(std::string_view key) const override {
    const auto found = parts.find(std::string(key));
    if (found == parts.end()) return executorch::runtime::Error::NotFound;
    ++held;
    return executorch::runtime::FreeableBuffer(
        found->second.first, found->second.second, [](void* count, void*, size_t) { --*static_cast<int*>(count); },
        &held);
  }
  executorch::runtime::Error load_data_into(std::string_view, void*, size_t) const override {
    return executorch::runtime::Error::NotSupported;
  }
  executorch::runtime::Result<uint32_t> get_num_keys() const override { return static_cast<uint32_t>(parts.size()); }
  executorch::runtime::Result<const char*> get_key(uint32_t) const override {
    return executorch::runtime::Error::NotSupported;
  }

  std::map<std::string, std::pair<const void*, size_t>> parts;
  mutable int held = 0;  // buffers that were not given back
};

/// The metadata of an engine without weights, which has one: `w`, of the bytes `value`, under the key `weights/1`.
inline std::string stripped_json(const std::string& name, int schema, const std::string& value,
                                 const std::string& more = "") {
  std::string json = blob_json(name);
  const std::string whole = R"("schema":1)";
  Crc32c crc;
  crc.update(value.data(), value.size());
  const std::string size = std::to_string(value.size());
  json.replace(json.find(whole), whole.size(),
               R"("schema":)" + std::to_string(schema) +
                   R"(,"weights":{"file":"model.ptd","tensors":[{"name":"w","key":"weights/1","dtype":"uint8",)" +
                   R"("count":)" + size + R"(,"bytes":)" + size + R"(,"crc32c":)" + std::to_string(crc.value()) +
                   R"(,"sha256":")" + sha256_hex(value.data(), value.size()) + R"("}]})" + more);
  return json;
}

}  // namespace torchtrt_ws::testing
