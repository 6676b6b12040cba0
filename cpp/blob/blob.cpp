#include "blob/blob.h"

#include <string>
#include <string_view>
#include <utility>

#include "base/quote.h"

namespace torchtrt_ws {

Result<Blob> read_blob(const void* data, std::size_t size) {
  auto header = parse_header(data, size);
  if (!header.ok()) return std::move(header).failure();
  const Header& h = header.value();
  const auto* bytes = static_cast<const uint8_t*>(data);
  auto metadata = parse_metadata(std::string_view(static_cast<const char*>(data) + h.metadata_offset, h.metadata_size));
  if (!metadata.ok()) return std::move(metadata).failure();
  if (!h.aliased && !metadata.value().aliased_io.empty()) {
    return Failure{ErrorCode::BadBlob, "engine blob: magic", quoted(wire::kMagic),
                   quoted(wire::kMagicAliased) + ", since the metadata has aliased_io",
                   "Save the program again with torchtrt-ws or Torch-TensorRT"};
  }
  const auto& own = metadata.value().own;
  if (h.stripped != (own && own->weights)) {
    return Failure{ErrorCode::BadBlob, "engine blob: magic",
                   h.stripped ? quoted(wire::kMagicStripped) + " and metadata without torchtrt_ws.weights"
                              : "a blob with torchtrt_ws.weights that is not " + quoted(wire::kMagicStripped),
                   quoted(wire::kMagicStripped) + " where the weights are in a file of their own, and only there",
                   "Save the program again with torchtrt-ws"};
  }
  return Blob{h, std::move(metadata).value(), bytes + h.engine_offset, h.engine_size};
}

}  // namespace torchtrt_ws
