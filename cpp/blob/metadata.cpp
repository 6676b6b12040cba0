#include "blob/metadata.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <set>
#include <utility>

#include "base/engine_name.h"
#include "base/quote.h"
#include "blob/fields.h"
#include "blob/header.h"
#include "blob/json.h"

namespace torchtrt_ws {
namespace {

constexpr int64_t kMaxInt = std::numeric_limits<int>::max();
constexpr int64_t kMaxInteger = std::numeric_limits<int64_t>::max();
constexpr const char* kOwnKey = "torchtrt_ws";

std::vector<Binding> read_bindings(Fields& document) {
  std::vector<Binding> bindings;
  std::set<std::pair<bool, std::string>> names;
  document.list("io_bindings", /*required=*/true, [&](Fields& entry) {
    Binding binding{entry.name("name"), entry.text("dtype", ""), {}, entry.boolean("is_input", true)};
    if (entry.has("shape")) binding.shape = entry.dims("shape", -1);
    if (!names.emplace(binding.is_input, binding.name).second) {
      entry.refuse("name", in_quotes(binding.name) + " again",
                   binding.is_input ? "input names that differ" : "output names that differ");
    }
    bindings.push_back(std::move(binding));
  });
  return bindings;
}

bool has_binding(const std::vector<Binding>& bindings, const std::string& name, bool is_input) {
  return std::any_of(bindings.begin(), bindings.end(),
                     [&](const Binding& b) { return b.is_input == is_input && b.name == name; });
}

std::vector<Alias> read_aliases(Fields& document, const std::vector<Binding>& bindings) {
  std::vector<Alias> aliases;
  std::set<std::string> outputs;
  document.list("aliased_io", /*required=*/false, [&](Fields& entry) {
    Alias alias{entry.name("output"), entry.name("input"), entry.text("kind", "kv_cache_update")};
    if (alias.kind != "kv_cache_update" && alias.kind != "user") {
      entry.refuse("kind", in_quotes(alias.kind), "\"kv_cache_update\" or \"user\"");
    }
    if (!has_binding(bindings, alias.output, false)) {
      entry.refuse("output", in_quotes(alias.output), "the name of an output in io_bindings");
    }
    if (!has_binding(bindings, alias.input, true)) {
      entry.refuse("input", in_quotes(alias.input), "the name of an input in io_bindings");
    }
    if (!outputs.insert(alias.output).second) {
      entry.refuse("output", in_quotes(alias.output) + " again", "one alias for an output");
    }
    aliases.push_back(std::move(alias));
  });
  return aliases;
}

std::vector<TensorFacts> read_tensors(Fields& own, const char* key) {
  std::vector<TensorFacts> tensors;
  own.list(key, /*required=*/true, [&](Fields& entry) {
    TensorFacts tensor{entry.name("name"), entry.name("dtype"), entry.dims("shape", -1), entry.dims("min", 0),
                       entry.dims("max", 0)};
    if (tensor.min.size() != tensor.shape.size() || tensor.max.size() != tensor.shape.size()) {
      entry.refuse("min",
                   std::to_string(tensor.min.size()) + " and max " + std::to_string(tensor.max.size()) + " dimensions",
                   std::to_string(tensor.shape.size()) + " in both, as in shape");
    }
    for (std::size_t i = 0; i < tensor.shape.size() && !entry.failed(); ++i) {
      const int64_t dim = tensor.shape[i], low = tensor.min[i], high = tensor.max[i];
      if (dim == -1 ? low <= high : low == dim && high == dim) continue;
      entry.refuse(("shape[" + std::to_string(i) + "]").c_str(),
                   std::to_string(dim) + " with min " + std::to_string(low) + " and max " + std::to_string(high),
                   dim == -1 ? "min not above max" : "min and max equal to it");
    }
    tensors.push_back(std::move(tensor));
  });
  return tensors;
}

/// One input in one optimization profile.
ProfileBounds read_bounds(Fields& profile, const TensorFacts& input) {
  Fields entry = profile.object(input.name.c_str());
  ProfileBounds bounds{entry.dims("min", 0), entry.dims("opt", 0), entry.dims("max", 0)};
  if (entry.failed()) return bounds;
  const std::size_t rank = input.shape.size();
  bool hold = bounds.min.size() == rank && bounds.opt.size() == rank && bounds.max.size() == rank;
  for (std::size_t i = 0; hold && i < rank; ++i) {
    hold = input.min[i] <= bounds.min[i] && bounds.min[i] <= bounds.opt[i] && bounds.opt[i] <= bounds.max[i] &&
           bounds.max[i] <= input.max[i];
  }
  if (!hold) {
    profile.refuse(input.name.c_str(), "bounds of another rank, in another order or outside the input's",
                   std::to_string(rank) + " dimensions each, min <= opt <= max, within the bounds in inputs");
  }
  return bounds;
}

std::vector<std::vector<ProfileBounds>> read_profiles(Fields& own, const std::vector<TensorFacts>& inputs) {
  std::vector<std::vector<ProfileBounds>> profiles;
  own.list("optimization_profiles", /*required=*/false, [&](Fields& entry) {
    std::vector<ProfileBounds> profile;
    for (const TensorFacts& input : inputs) {
      if (!entry.failed()) profile.push_back(read_bounds(entry, input));
    }
    profiles.push_back(std::move(profile));
  });
  return profiles;
}

/// The delegate takes counts from one list and bounds from the other, so they must agree.
void compare_names(Fields& own, const char* key, const std::vector<TensorFacts>& tensors,
                   const std::vector<Binding>& bindings, bool is_input) {
  std::size_t index = 0;
  for (const Binding& binding : bindings) {
    if (binding.is_input != is_input) continue;
    if (index >= tensors.size() || tensors[index].name != binding.name) {
      own.refuse(key, index < tensors.size() ? in_quotes(tensors[index].name) : "no tensor",
                 in_quotes(binding.name) + " at place " + std::to_string(index) + ", as in io_bindings");
      return;
    }
    ++index;
  }
  if (index != tensors.size()) {
    own.refuse(key, std::to_string(tensors.size()) + " tensors", std::to_string(index) + ", as in io_bindings");
  }
}

std::vector<std::string> read_names(Fields& method, const char* key) {
  std::vector<std::string> names;
  method.list(key, true, [&names](Fields& entry) { names.push_back(entry.name("name")); });
  return names;
}

std::vector<StateTensor> read_state(Fields& own, const std::vector<Binding>& bindings) {
  std::set<std::string> names;
  for (const Binding& binding : bindings) names.insert(binding.name);
  std::vector<StateTensor> state;
  own.list("state", /*required=*/false, [&](Fields& entry) {
    StateTensor tensor{entry.name("input"), entry.name("output"), entry.name("dtype"), entry.dims("shape", 0)};
    for (const auto& [key, name] : {std::pair{"input", tensor.input}, std::pair{"output", tensor.output}}) {
      if (!names.insert(name).second) entry.refuse(key, in_quotes(name), "a name of its own");
    }
    state.push_back(std::move(tensor));
  });
  return state;
}

/// Schema 2 is 1 with `weights`, and 3 is 2 with `variants`: whoever knows 1 alone must not run an engine without its
/// weights, and whoever knows 2 not take several plans for one.
void check_schema(Fields& own, int schema) {
  const bool weights = own.has("weights"), variants = own.has("variants");
  const int expected = variants ? wire::kVariantsSchema : weights ? wire::kStrippedSchema : wire::kWholeSchema;
  if (schema == expected && (weights || !variants)) return;
  own.refuse(
      "schema",
      std::to_string(schema) + (weights ? " with weights" : " without weights") + (variants ? ", with variants" : ""),
      std::to_string(expected) + ", and variants only of weights elsewhere");
}

std::optional<SeparateWeights> read_weights_of(Fields& own) {
  if (!own.has("weights")) return std::nullopt;
  Fields weights = own.object("weights");
  return read_weights(weights);
}

OwnFacts read_own(Fields& own, const std::vector<Binding>& bindings) {
  OwnFacts facts{};
  facts.schema = static_cast<int>(own.integer("schema", wire::kWholeSchema, wire::kSchemaVersion));
  facts.name = own.text("name");
  if (!is_engine_name(facts.name)) own.refuse("name", in_quotes(facts.name), std::string(kEngineNames));
  facts.kind = own.name("kind");
  facts.sha256 = own.text("sha256");
  if (!is_sha256(facts.sha256)) own.refuse("sha256", in_quotes(facts.sha256), "64 lower-case hex digits");
  facts.crc32c = read_crc32c(own);
  facts.nested_method = own.text("nested_method", "forward");
  if (!is_engine_name(facts.nested_method)) {
    own.refuse("nested_method", in_quotes(facts.nested_method), std::string(kEngineNames));
  }
  facts.keeps_state = own.boolean("keeps_state", false);
  facts.state = read_state(own, bindings);
  facts.builder = own.text("builder", "");
  facts.streamable_bytes = own.bytes_or_null("streamable_bytes");
  facts.streamable_estimated = own.boolean("streamable_estimated", false);
  facts.scratch_estimate = own.bytes_within("streaming", "scratch_bytes");
  Fields program = own.object("program");
  facts.program_engines = static_cast<int>(program.integer("engines", 1, kMaxInt));
  facts.program_streamable_bytes = program.bytes_or_null("streamable_bytes");
  facts.program_distinct_bytes = program.bytes_or_null("distinct_streamable_bytes");
  facts.inputs = read_tensors(own, "inputs");
  facts.outputs = read_tensors(own, "outputs");
  compare_names(own, "inputs", facts.inputs, bindings, true);
  compare_names(own, "outputs", facts.outputs, bindings, false);
  facts.profiles = read_profiles(own, facts.inputs);
  check_schema(own, facts.schema);
  facts.weights = read_weights_of(own);
  facts.compute_capabilities = read_compute_capabilities(own);
  if (own.has("variants")) facts.variants = read_variants(own, facts.weights);
  if (own.has("method")) {
    Fields method = own.object("method");
    facts.method_inputs = read_names(method, "inputs");
    facts.method_outputs = read_names(method, "outputs");
  }
  return facts;
}

Failure newer_schema(int64_t schema) {
  return Failure{ErrorCode::NewerSchema, "engine blob: torchtrt_ws.schema", std::to_string(schema),
                 std::to_string(wire::kSchemaVersion) + " or less",
                 "The file was written by a newer torchtrt-ws: upgrade torchtrt-ws here"};
}

}  // namespace

Result<Metadata> parse_metadata(std::string_view text) {
  auto parsed = parse_json(text);
  if (!parsed.ok()) return std::move(parsed).failure();

  std::optional<Failure> failure;
  Fields document(parsed.value(), "", failure);
  // First: a newer schema may have changed what the rest means.
  if (!document.failed() && document.has(kOwnKey)) {
    const int64_t schema = document.object(kOwnKey).integer("schema", 1, kMaxInteger);
    if (schema > wire::kSchemaVersion) return newer_schema(schema);
  }
  Metadata metadata{};
  metadata.io_bindings = read_bindings(document);
  metadata.aliased_io = read_aliases(document, metadata.io_bindings);
  metadata.hardware_compatible = document.boolean("hardware_compatible", false);
  metadata.device_id = static_cast<int>(document.integer("device_id", 0, kMaxInt, 0));
  document.text("serialized_metadata", "");  // must be a text, as for Python's reader; a pickle, so never decoded
  metadata.target_platform = document.text("target_platform", "");
  metadata.engine_key = document.text_if_any("engine_key");
  if (!document.failed() && document.has(kOwnKey)) {
    Fields own = document.object(kOwnKey);
    metadata.own = read_own(own, metadata.io_bindings);
  }
  if (failure.has_value()) return *std::move(failure);
  return metadata;
}

}  // namespace torchtrt_ws
