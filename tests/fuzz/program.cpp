// read_delegates() on any bytes: a .pte that somebody hands to check().
#include "blob/header.h"
#include "fuzz/check.h"
#include "program/program_file.h"

using torchtrt_ws::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const auto delegates = torchtrt_ws::read_delegates("fuzzed.pte", data, size);
  if (!delegates.ok()) {
    torchtrt_ws::fuzz::check_text(delegates.failure().message());
    return 0;
  }
  for (const auto& each : delegates.value()) {
    check(torchtrt_ws::wire::fits(each.offset, each.size, size), "a payload lies in the file");
  }
  return 0;
}
