#pragma once

#include <NvInferRuntime.h>

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/tensorrt/io.h"

namespace torchtrt_ws::tensorrt {

/// What a context was last told of its inputs' shapes, and what it says of the outputs'.
class Shapes {
 public:
  struct Output {
    std::array<executorch::aten::SizesType, nvinfer1::Dims::MAX_DIMS> sizes{};  // as the program counts them
    size_t rank = 0;                                                            // 0 for a scalar of the program
    size_t nbytes = 0;
  };

  /// `io` outlives this object.
  Shapes(std::string subject, const Io& io);

  /// Whether set() would tell the context another shape: it must not run with the old ones then, nor be replayed.
  bool would_change(const std::vector<TensorView>& inputs) const noexcept;

  /// Makes `inputs` the context's shapes and reads its outputs'. Calls TensorRT only for what changed.
  /// Fails with EngineFault or DoesNotFit, and with BadArgument where an output is written into an input of another
  /// shape; what was not taken is told again by the next call.
  Status set(nvinfer1::IExecutionContext& context, const std::vector<TensorView>& inputs);

  /// Other values of inputs that hold shapes: the outputs' shapes are asked again.
  void forget_outputs() noexcept { outputs_known_ = false; }

  /// There is another context, or this one may have other shapes: it is told and asked everything again.
  void forget() noexcept;

  /// Valid after set().
  const Output& output(size_t index) const noexcept { return outputs_[index]; }

 private:
  bool is_told(size_t index, const TensorView& view) const noexcept;
  Status read_output(nvinfer1::IExecutionContext& context, size_t index);
  Status check_alias(size_t index, const TensorView& input) const;

  const std::string subject_;
  const Io& io_;
  std::vector<nvinfer1::Dims> told_;  // rank -1: not told. Inputs of one shape only need not be
  std::vector<Output> outputs_;
  bool outputs_known_ = false;
};

}  // namespace torchtrt_ws::tensorrt
