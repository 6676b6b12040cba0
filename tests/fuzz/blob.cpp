// read_blob() on any bytes: what a delegate gets from a file as `processed`.
#include "blob/blob.h"

#include "fuzz/check.h"

using torchtrt_ws::fuzz::check;
namespace wire = torchtrt_ws::wire;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const auto blob = torchtrt_ws::read_blob(data, size);
  if (!blob.ok()) {
    torchtrt_ws::fuzz::check_text(blob.failure().message());
    return 0;
  }
  const auto& [header, metadata, engine, engine_size, engine_key] = blob.value();
  check(header.metadata_offset >= wire::kHeaderSize, "the metadata lies behind the header");
  check(wire::fits(header.metadata_offset, header.metadata_size, header.engine_offset), "and in front of the engine");
  check(header.metadata_size <= (header.stripped ? wire::kMaxStrippedMetadataSize : wire::kMaxMetadataSize),
        "the metadata is not over its cap");
  check(header.engine_offset % wire::kEngineAlignment == 0, "the engine is aligned");
  check(engine == data + header.engine_offset && engine_size == header.engine_size, "the engine is where it says");
  check(wire::fits(header.engine_offset, engine_size, size), "the engine lies in the blob");
  check((engine_size == 0) != engine_key.empty(), "an engine, or where a data file has it");
  for (const auto& each : metadata.own ? metadata.own->variants : std::vector<torchtrt_ws::VariantFacts>()) {
    check(wire::fits(each.offset, each.size, engine_size), "a plan lies in the engine");
    check(header.stripped, "several plans need TR03");
  }
  check(header.aliased || metadata.aliased_io.empty(), "aliases need TR02");
  return 0;
}
