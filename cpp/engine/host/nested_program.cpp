#include "engine/host/nested_program.h"

#include <executorch/extension/data_loader/buffer_data_loader.h>
#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/backend/backend_options_map.h>

#include <cstring>
#include <utility>

namespace torchtrt_ws::host {
namespace {

using executorch::aten::SizesType;
using executorch::runtime::Error;
using executorch::runtime::EValue;

Failure refused(const std::string& step, Error error) {
  return {ErrorCode::BadEngine, "host engine",
          std::string(executorch::runtime::to_string(error)) + " from ExecuTorch while " + step,
          "an ExecuTorch program with the method that the file names", "ExecuTorch's own log lines above say more"};
}

using executorch::extension::Module;

/// A program of which no method is loaded yet.
Result<std::unique_ptr<Module>> open(const uint8_t* data, size_t size, const std::string& packed_cache_path) {
  auto module = std::make_unique<Module>(std::make_unique<executorch::extension::BufferDataLoader>(data, size));
  executorch::runtime::BackendOptions<2> xnnpack;
  executorch::runtime::LoadBackendOptionsMap options;
  if (!packed_cache_path.empty()) {
    // Keys: backends/xnnpack/runtime/XNNPACKBackend.h, executorch 1.5.1.
    Error set = xnnpack.set_option("weight_cache_enabled", true);
    if (set == Error::Ok) set = xnnpack.set_option("packed_cache_path", packed_cache_path.c_str());
    if (set == Error::Ok) set = options.set_options("XnnpackBackend", xnnpack.view());
    if (set != Error::Ok) return refused("setting XNNPACK's options", set);
  }
  const Error error = module->load(options, executorch::runtime::Program::Verification::InternalConsistency);
  if (error != Error::Ok) return refused("loading it", error);
  return module;
}

template <typename MetaOf>
Result<std::vector<TensorSpec>> specs_of(size_t count, const std::string& role, const MetaOf& meta_of) {
  std::vector<TensorSpec> specs;
  for (size_t i = 0; i < count; ++i) {
    const std::string name = role + std::to_string(i);
    const auto meta = meta_of(i);
    if (!meta.ok()) return refused("reading '" + name + "'", meta.error());
    const std::vector<int64_t> shape(meta->sizes().begin(), meta->sizes().end());
    specs.push_back({name, meta->scalar_type(), shape, shape});
  }
  return specs;
}

}  // namespace

Result<NestedProgram> NestedProgram::load(const uint8_t* data, size_t size, const std::string& method,
                                          const std::string& packed_cache_path) {
  auto module = open(data, size, packed_cache_path);
  if (!module.ok()) return std::move(module).failure();
  const Error error = module.value()->load_method(method);
  if (error != Error::Ok) return refused("loading its method '" + method + "'", error);
  return NestedProgram(std::move(module).value(), method);
}

Result<std::vector<std::string>> NestedProgram::methods(const uint8_t* data, size_t size) {
  auto module = open(data, size, "");
  if (!module.ok()) return std::move(module).failure();
  const auto names = module.value()->method_names();
  if (!names.ok()) return refused("reading its methods", names.error());
  return std::vector<std::string>(names->begin(), names->end());
}

Status NestedProgram::pack(const uint8_t* data, size_t size, const std::string& packed_cache_path) {
  auto module = open(data, size, packed_cache_path);
  if (!module.ok()) return std::move(module).failure();
  const auto methods = module.value()->method_names();
  if (!methods.ok()) return refused("reading its methods", methods.error());
  for (const std::string& method : methods.get()) {
    const Error error = module.value()->load_method(method);
    if (error != Error::Ok) return refused("loading its method '" + method + "'", error);
  }
  return ok_status();
}

Result<std::vector<TensorSpec>> NestedProgram::inputs() const {
  const auto meta = module_->method_meta(method_);
  if (!meta.ok()) return refused("reading its method", meta.error());
  return specs_of(meta->num_inputs(), "input ", [&meta](size_t i) { return meta->input_tensor_meta(i); });
}

Result<std::vector<TensorSpec>> NestedProgram::outputs() const {
  const auto meta = module_->method_meta(method_);
  if (!meta.ok()) return refused("reading its method", meta.error());
  return specs_of(meta->num_outputs(), "output ", [&meta](size_t i) { return meta->output_tensor_meta(i); });
}

Status NestedProgram::run(const std::vector<TensorView>& inputs, OutputSink& outputs) {
  std::vector<executorch::extension::TensorPtr> tensors;  // own the metadata of the values; the data stays the caller's
  std::vector<EValue> values;
  tensors.reserve(inputs.size());
  values.reserve(inputs.size());
  for (const TensorView& input : inputs) {
    tensors.push_back(executorch::extension::make_tensor_ptr(
        std::vector<SizesType>(input.sizes, input.sizes + input.rank), input.data, input.dtype));
    values.emplace_back(tensors.back());
  }
  auto results = module_->execute(method_, values);
  if (!results.ok()) {
    return Failure{ErrorCode::EngineFault, "host engine",
                   std::string(executorch::runtime::to_string(results.error())) + " from ExecuTorch while running it",
                   "a run", "ExecuTorch's own log lines above say more"};
  }
  for (size_t i = 0; i < results->size(); ++i) {
    const auto tensor = results->at(i).toTensor();
    auto target = outputs.resize(i, tensor.sizes().data(), static_cast<size_t>(tensor.dim()));
    if (!target.ok()) return std::move(target).failure();
    if (tensor.nbytes() > 0) std::memcpy(target.value().data, tensor.const_data_ptr(), tensor.nbytes());
  }
  return ok_status();
}

}  // namespace torchtrt_ws::host
