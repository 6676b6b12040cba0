#pragma once

#include <executorch/extension/module/module.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace torchtrt_ws::host {

/// One method of the ExecuTorch program that a host engine consists of, run by a Module of its own: Modules are not
/// made for calls from several threads.
class NestedProgram {
 public:
  /// `data` must outlive the program. `packed_cache_path` is XNNPACK's load option of that name; empty: packed weights
  /// live on the heap. Fails with BadEngine when ExecuTorch refuses the program.
  static Result<NestedProgram> load(const uint8_t* data, size_t size, const std::string& method,
                                    const std::string& packed_cache_path);

  /// The names of its methods. Fails as load() does.
  static Result<std::vector<std::string>> methods(const uint8_t* data, size_t size);

  /// Loads all methods with that path, for XNNPACK to pack their weights, and drops them. Fails as load() does.
  static Status pack(const uint8_t* data, size_t size, const std::string& packed_cache_path);

  /// The method's tensors as the program declares them: dtype and largest shape. Fails with BadEngine for an input or
  /// output that is no tensor.
  Result<std::vector<TensorSpec>> inputs() const;
  Result<std::vector<TensorSpec>> outputs() const;

  Status run(const std::vector<TensorView>& inputs, OutputSink& outputs);

 private:
  NestedProgram(std::unique_ptr<executorch::extension::Module> module, std::string method)
      : module_(std::move(module)), method_(std::move(method)) {}

  std::unique_ptr<executorch::extension::Module> module_;
  std::string method_;
};

}  // namespace torchtrt_ws::host
