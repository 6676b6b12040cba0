#include "engine/host/nested_program.h"

#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/backend/backend_options_map.h>

#include <cstring>
#include <utility>

namespace torchtrt_ws::host {
namespace {

using executorch::aten::SizesType;
using executorch::runtime::Error;
using executorch::runtime::EValue;

/// XNNPACK's options with that path, for as long as this lives. Keys: backends/xnnpack/runtime/XNNPACKBackend.h,
/// executorch 1.5.1.
class PackingOptions {
 public:
  explicit PackingOptions(const std::string& packed_cache_path) {
    if (packed_cache_path.empty()) return;
    error_ = xnnpack_.set_option("weight_cache_enabled", true);
    if (error_ == Error::Ok) error_ = xnnpack_.set_option("packed_cache_path", packed_cache_path.c_str());
    if (error_ == Error::Ok) error_ = map_.set_options("XnnpackBackend", xnnpack_.view());
  }

  Status load(NestedMethod& program, const std::string& method) const {
    if (error_ != Error::Ok) return refused_by_executorch("setting XNNPACK's options", error_);
    return program.load(method, map_);
  }

 private:
  executorch::runtime::BackendOptions<2> xnnpack_;
  executorch::runtime::LoadBackendOptionsMap map_;
  Error error_ = Error::Ok;
};

template <typename MetaOf>
Result<std::vector<TensorSpec>> specs_of(size_t count, const std::string& role, const MetaOf& meta_of) {
  std::vector<TensorSpec> specs;
  for (size_t i = 0; i < count; ++i) {
    const std::string name = role + std::to_string(i);
    const auto meta = meta_of(i);
    if (!meta.ok()) return refused_by_executorch("reading '" + name + "'", meta.error());
    const std::vector<int64_t> shape(meta->sizes().begin(), meta->sizes().end());
    specs.push_back({name, meta->scalar_type(), shape, shape});
  }
  return specs;
}

}  // namespace

Result<NestedProgram> NestedProgram::load(const NestedSource& source, const std::string& method,
                                          const std::string& packed_cache_path) {
  auto program = NestedMethod::open(source);
  if (!program.ok()) return std::move(program).failure();
  Status loaded = PackingOptions(packed_cache_path).load(*program.value(), method);
  if (!loaded.ok()) return std::move(loaded).failure();
  return NestedProgram(std::move(program).value());
}

Result<std::vector<std::string>> NestedProgram::methods(const NestedSource& source) {
  auto program = NestedMethod::open(source);
  if (!program.ok()) return std::move(program).failure();
  return program.value()->names();
}

Status NestedProgram::pack(const NestedSource& source, const std::string& packed_cache_path) {
  auto names = methods(source);
  if (!names.ok()) return std::move(names).failure();
  std::vector<NestedProgram> loaded;  // together: XNNPACK drops its cache with the last of them
  for (const std::string& method : names.value()) {
    auto program = load(source, method, packed_cache_path);
    if (!program.ok()) return std::move(program).failure();
    loaded.push_back(std::move(program).value());
  }
  return ok_status();
}

Result<std::vector<TensorSpec>> NestedProgram::inputs() const {
  const auto meta = loaded_->meta();
  return specs_of(meta.num_inputs(), "input ", [&meta](size_t i) { return meta.input_tensor_meta(i); });
}

Result<std::vector<TensorSpec>> NestedProgram::outputs() const {
  const auto meta = loaded_->meta();
  return specs_of(meta.num_outputs(), "output ", [&meta](size_t i) { return meta.output_tensor_meta(i); });
}

Status NestedProgram::run(const std::vector<TensorView>& inputs, OutputSink& outputs) {
  auto& method = loaded_->method();
  Error error = Error::Ok;
  for (size_t i = 0; error == Error::Ok && i < inputs.size(); ++i) {
    const TensorView& input = inputs[i];
    const auto tensor = executorch::extension::make_tensor_ptr(
        std::vector<SizesType>(input.sizes, input.sizes + input.rank), input.data, input.dtype);
    error = method.set_input(EValue(*tensor), i);
  }
  if (error == Error::Ok) error = method.execute();
  if (error != Error::Ok) {
    return Failure{ErrorCode::EngineFault, "host engine",
                   std::string(executorch::runtime::to_string(error)) + " from ExecuTorch while running it", "a run",
                   "ExecuTorch's own log lines above say more"};
  }
  for (size_t i = 0; i < method.outputs_size(); ++i) {
    const auto tensor = method.get_output(i).toTensor();
    auto target = outputs.resize(i, tensor.sizes().data(), static_cast<size_t>(tensor.dim()));
    if (!target.ok()) return std::move(target).failure();
    if (tensor.nbytes() > 0) std::memcpy(target.value().data, tensor.const_data_ptr(), tensor.nbytes());
  }
  return ok_status();
}

}  // namespace torchtrt_ws::host
