// parse_metadata() on any bytes.
#include "blob/metadata.h"

#include "base/engine_name.h"
#include "blob/as_variant.h"
#include "blob/header.h"
#include "fuzz/check.h"

using torchtrt_ws::fuzz::check;
namespace wire = torchtrt_ws::wire;

namespace {

void check_tensors(const std::vector<torchtrt_ws::TensorFacts>& tensors, std::size_t count) {
  check(tensors.size() == count, "as many tensors as bindings");
  for (const auto& tensor : tensors) {
    check(!tensor.name.empty() && tensor.shape.size() <= wire::kMaxRank, "a tensor has a name, and a rank in range");
    check(tensor.min.size() == tensor.shape.size() && tensor.max.size() == tensor.shape.size(), "bounds of its rank");
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      check(tensor.min[i] >= 0 && tensor.min[i] <= tensor.max[i], "min is not above max");
      check(tensor.shape[i] == -1 || tensor.shape[i] == tensor.min[i], "a static dimension is its bounds");
    }
  }
}

void check_profiles(const torchtrt_ws::OwnFacts& own) {
  check(own.profiles.size() <= wire::kMaxBindings, "profiles are not over their cap");
  for (const auto& profile : own.profiles) {
    check(profile.size() == own.inputs.size(), "a profile has all inputs");
    for (std::size_t input = 0; input < profile.size(); ++input) {
      const auto& [min, opt, max] = profile[input];
      const auto& facts = own.inputs[input];
      check(min.size() == facts.min.size() && opt.size() == min.size() && max.size() == min.size(), "of its rank");
      for (std::size_t i = 0; i < min.size(); ++i) {
        check(facts.min[i] <= min[i] && min[i] <= opt[i] && opt[i] <= max[i] && max[i] <= facts.max[i], "in order");
      }
    }
  }
}

void check_variants(const torchtrt_ws::OwnFacts& own) {
  if (own.variants.empty()) return;
  check(own.weights && own.variants.size() >= 2 && own.variants.size() <= wire::kMaxVariants, "plans in range");
  uint64_t end = 0;
  for (std::size_t i = 0; i < own.variants.size(); ++i) {
    const auto& each = own.variants[i];
    check(each.size >= 1 && each.offset % wire::kEngineAlignment == 0, "a plan is aligned, and has bytes");
    check(each.offset >= end && (i > 0 || each.offset == 0), "plans follow each other");
    end = each.offset + each.size;  // both below 2^63
    const auto one = torchtrt_ws::as_variant({{}, {}, false, 0, "", "", own}, i);
    check(one.own->weights->tensors.size() == (each.weights ? each.weights->size() : own.weights->tensors.size()),
          "a plan takes weights of the list, each once");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const auto result = torchtrt_ws::parse_metadata({reinterpret_cast<const char*>(data), size});
  if (!result.ok()) {
    torchtrt_ws::fuzz::check_text(result.failure().message());
    return 0;
  }
  const torchtrt_ws::Metadata& metadata = result.value();
  std::size_t inputs = 0;
  for (const auto& binding : metadata.io_bindings) {
    check(!binding.name.empty() && binding.shape.size() <= wire::kMaxRank, "a binding has a name, and a rank in range");
    check(binding.name.find('\0') == std::string::npos, "a name can be a C string");
    inputs += binding.is_input ? 1 : 0;
  }
  check(metadata.io_bindings.size() <= wire::kMaxBindings, "bindings are not over their cap");
  check(metadata.device_id >= 0, "the device's index is not negative");
  if (!metadata.own.has_value()) return 0;
  const torchtrt_ws::OwnFacts& own = *metadata.own;
  const int without = own.weights ? wire::kStrippedSchema : wire::kWholeSchema;
  check(own.schema == (own.variants.empty() ? without : wire::kVariantsSchema) && own.program_engines >= 1,
        "schema and engines are in range");
  check_variants(own);
  check(torchtrt_ws::is_engine_name(own.name) && !own.kind.empty(), "the engine has a name and a kind");
  check(own.sha256.size() == 64 && own.sha256.find_first_of("/.") == std::string::npos, "a digest names no folder");
  check(own.streamable_bytes.value_or(0) >= 0 && own.program_streamable_bytes.value_or(0) >= 0, "sizes are 0 or more");
  check_tensors(own.inputs, inputs);
  check_tensors(own.outputs, metadata.io_bindings.size() - inputs);
  check_profiles(own);
  return 0;
}
