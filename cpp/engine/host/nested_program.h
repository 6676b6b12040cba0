#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/host/nested_method.h"

namespace torchtrt_ws::host {

/// One method of the ExecuTorch program that a host engine consists of, with a program of its own: ExecuTorch's are not
/// made for calls from several threads.
class NestedProgram {
 public:
  /// The bytes of `source` must outlive the program. `packed_cache_path` is XNNPACK's load option of that name; empty:
  /// packed weights live on the heap. Fails with BadEngine when ExecuTorch refuses the program.
  static Result<NestedProgram> load(const NestedSource& source, const std::string& method,
                                    const std::string& packed_cache_path);

  /// The names of its methods. Fails as load() does.
  static Result<std::vector<std::string>> methods(const NestedSource& source);

  /// Loads all methods with that path, for XNNPACK to pack their weights, and drops them. Fails as load() does.
  static Status pack(const NestedSource& source, const std::string& packed_cache_path);

  /// The method's tensors as the program declares them: dtype and largest shape. Fails with BadEngine for an input or
  /// output that is no tensor.
  Result<std::vector<TensorSpec>> inputs() const;
  Result<std::vector<TensorSpec>> outputs() const;

  Status run(const std::vector<TensorView>& inputs, OutputSink& outputs);

 private:
  explicit NestedProgram(std::unique_ptr<NestedMethod> loaded) : loaded_(std::move(loaded)) {}

  std::unique_ptr<NestedMethod> loaded_;
};

}  // namespace torchtrt_ws::host
