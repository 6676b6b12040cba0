#pragma once

#include <executorch/extension/module/module.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace torchtrt_ws::host {

/// The ExecuTorch program that a host engine consists of: one method, `forward`, run by ExecuTorch's own Module.
class NestedProgram {
 public:
  /// `data` must outlive the program. `packed_cache_path` is XNNPACK's load option of that name; empty: packed weights
  /// live on the heap. Fails with BadEngine when ExecuTorch refuses the program.
  static Result<NestedProgram> load(const uint8_t* data, size_t size, const std::string& packed_cache_path);

  /// The method's tensors as the program declares them: dtype and largest shape. Fails with BadEngine for an input or
  /// output that is no tensor.
  Result<std::vector<TensorSpec>> inputs() const;
  Result<std::vector<TensorSpec>> outputs() const;

  Status run(const std::vector<TensorView>& inputs, OutputSink& outputs);

 private:
  explicit NestedProgram(std::unique_ptr<executorch::extension::Module> module) : module_(std::move(module)) {}

  std::unique_ptr<executorch::extension::Module> module_;
};

}  // namespace torchtrt_ws::host
