#include "blob/blob.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/quote.h"

namespace torchtrt_ws {
namespace {

Status check_variants(const std::vector<VariantFacts>& variants, uint64_t engine_size) {
  for (const VariantFacts& each : variants) {
    if (wire::fits(each.offset, each.size, engine_size)) continue;
    return Failure{ErrorCode::BadBlob, "engine blob: variants",
                   std::to_string(each.size) + " bytes at offset " + std::to_string(each.offset) + " of the engine",
                   "plans within its " + std::to_string(engine_size) + " bytes",
                   "The file is damaged or truncated: save or copy it again"};
  }
  return ok_status();
}

}  // namespace

Result<Blob> read_blob(const void* data, std::size_t size) {
  auto header = parse_header(data, size);
  if (!header.ok()) return std::move(header).failure();
  const Header& h = header.value();
  const auto* bytes = static_cast<const uint8_t*>(data);
  auto metadata = parse_metadata(std::string_view(static_cast<const char*>(data) + h.metadata_offset, h.metadata_size));
  if (!metadata.ok()) return std::move(metadata).failure();
  if (!h.aliased && !metadata.value().aliased_io.empty()) {
    return Failure{ErrorCode::BadBlob, "engine blob: magic", in_quotes(wire::kMagic),
                   in_quotes(wire::kMagicAliased) + ", since the metadata has aliased_io",
                   "Save the program again with torchtrt-ws or Torch-TensorRT"};
  }
  const auto& own = metadata.value().own;
  if (h.stripped != (own && own->weights)) {
    return Failure{ErrorCode::BadBlob, "engine blob: magic",
                   h.stripped ? in_quotes(wire::kMagicStripped) + " and metadata without torchtrt_ws.weights"
                              : "a blob with torchtrt_ws.weights that is not " + in_quotes(wire::kMagicStripped),
                   in_quotes(wire::kMagicStripped) + " where the weights are in a file of their own, and only there",
                   "Save the program again with torchtrt-ws"};
  }
  if (own) {
    Status within = check_variants(own->variants, h.engine_size);
    if (!within.ok()) return std::move(within).failure();
  }
  std::string key = h.engine_size == 0 ? metadata.value().engine_key : std::string();
  if (h.engine_size == 0 && key.empty()) {
    return Failure{ErrorCode::BadBlob, "engine blob: engine size", "0 bytes, and metadata without engine_key",
                   "an engine, or the key that a data file has it under",
                   "The file is damaged or truncated: save or copy it again"};
  }
  return Blob{h, std::move(metadata).value(), bytes + h.engine_offset, h.engine_size, std::move(key)};
}

}  // namespace torchtrt_ws
