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
  return Blob{h, std::move(metadata).value(), bytes + h.engine_offset, h.engine_size};
}

}  // namespace torchtrt_ws
