#include "engine/tensorrt/alias.h"

#include <algorithm>

#include "base/quote.h"

namespace torchtrt_ws::tensorrt {
namespace {

std::optional<size_t> index_of(const std::vector<IoTensor>& tensors, const std::string& name) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name == name) return i;
  }
  return std::nullopt;
}

Failure contradiction(const std::string& subject, const Alias& alias, std::string found, std::string expected) {
  return {ErrorCode::BadBlob, subject + ", aliased output " + in_quotes(alias.output), std::move(found),
          std::move(expected), "The program and its engine do not belong together; save it again"};
}

bool supports_aliases(const Library& library) {
#if NV_TENSORRT_MAJOR >= 11
  return library.has(110000);
#elif NV_TENSORRT_MAJOR < 8
  return NV_TENSORRT_MINOR >= 5 && library.has(110000);
#else
  (void)library;
  return false;
#endif
}

bool same_layout(const TensorSpec& a, const TensorSpec& b, const IoTensor& ta, const IoTensor& tb) {
  if (a.dtype != b.dtype || ta.shape.nbDims != tb.shape.nbDims) return false;
  for (int32_t i = 0; i < ta.shape.nbDims; ++i) {
    if (ta.shape.d[i] != tb.shape.d[i]) return false;
  }
  return true;
}

Status read_alias(const std::string& subject, const nvinfer1::ICudaEngine& engine, const Library& library,
                  const Alias& alias, Io& io) {
  const auto output = index_of(io.outputs, alias.output);
  const auto input = index_of(io.inputs, alias.input);
  if (!output || !input) {
    return contradiction(subject, alias, "input " + in_quotes(alias.input), "names of an output and an input");
  }
  if (alias.kind == "kv_cache_update") {
    const std::string said = aliased_input(engine, library, alias.output);
    if (said != alias.input) {
      return contradiction(subject, alias, "input " + in_quotes(alias.input),
                           said.empty() ? "no alias, as the engine says" : in_quotes(said) + ", as the engine says");
    }
  } else if (alias.kind != "user") {
    return Failure{ErrorCode::Incompatible, subject + ", aliased output " + in_quotes(alias.output),
                   "kind " + in_quotes(alias.kind), "\"kv_cache_update\" or \"user\"",
                   "A newer writer made this program; upgrade torchtrt-ws"};
  } else if (!same_layout(io.output_specs[*output], io.input_specs[*input], io.outputs[*output], io.inputs[*input])) {
    return contradiction(subject, alias, "another shape or dtype than input " + in_quotes(alias.input), "the same");
  }
  if (io.inputs[*input].holds_shapes) {
    return contradiction(subject, alias, "input " + in_quotes(alias.input) + ", which holds shapes, in host memory",
                         "an input that holds data on the device");
  }
  const auto other = std::find(io.aliased_inputs.begin(), io.aliased_inputs.end(), input);
  if (other != io.aliased_inputs.end()) {
    const size_t at = static_cast<size_t>(other - io.aliased_inputs.begin());
    return contradiction(
        subject, alias,
        "input " + in_quotes(alias.input) + ", which output " + in_quotes(io.outputs[at].name) + " is written into",
        "an input of its own");
  }
  io.aliased_inputs[*output] = input;
  return ok_status();
}

}  // namespace

std::string aliased_input(const nvinfer1::ICudaEngine& engine, const Library& library, const std::string& output) {
  if (!supports_aliases(library)) return {};
#if NV_TENSORRT_MAJOR >= 11 || NV_TENSORRT_MAJOR < 8
  const char* input = engine.getAliasedInputTensor(output.c_str());
  return input != nullptr ? input : "";
#else
  (void)engine;
  (void)output;
  return {};
#endif
}

Status read_aliases(const std::string& subject, const nvinfer1::ICudaEngine& engine, const Metadata& metadata,
                    const Library& library, Io& io) {
  io.aliased_inputs.assign(io.outputs.size(), std::nullopt);
  if (metadata.aliased_io.empty()) return ok_status();
  if (!supports_aliases(library)) {
    return Failure{ErrorCode::Incompatible, subject,
                   std::to_string(metadata.aliased_io.size()) + " outputs that are written into inputs, with " +
                       product_name(library.product) + " " + library.version_text() + " and headers of " +
                       std::to_string(NV_TENSORRT_MAJOR) + "." + std::to_string(NV_TENSORRT_MINOR),
                   "TensorRT 11", "Build libtorchtrt_ws_tensorrt with TensorRT 11's headers and run with TensorRT 11"};
  }
  for (const Alias& alias : metadata.aliased_io) {
    Status read = read_alias(subject, engine, library, alias, io);
    if (!read.ok()) return read;
  }
  return ok_status();
}

Status check_bounded_aliases(const std::string& subject, const Io& io) {
  for (size_t i = 0; i < io.outputs.size(); ++i) {
    if (!io.aliased_inputs[i] || !io.outputs[i].data_dependent) continue;
    return Failure{
        ErrorCode::Incompatible, subject + ", aliased output " + in_quotes(io.outputs[i].name),
        "a shape that depends on data, to be written into input " + in_quotes(io.inputs[*io.aliased_inputs[i]].name),
        "a shape that is known before a run", "Save the program again, with this output on its own"};
  }
  return ok_status();
}

}  // namespace torchtrt_ws::tensorrt
