#pragma once

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/span.h>

#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace torchtrt_ws {

/// The delegate's arguments of one call: inputs, then outputs. Checks the inputs against the engine and fills `views`
/// (reused from call to call, so that a call allocates nothing). Fails with BadArgument.
Status check_inputs(const Engine& engine, executorch::runtime::Span<executorch::runtime::EValue*> args,
                    std::vector<TensorView>& views);

/// The outputs of a call, as the engine sees them.
class OutputArguments final : public OutputSink {
 public:
  OutputArguments(const Engine& engine, executorch::runtime::Span<executorch::runtime::EValue*> args)
      : engine_(engine), args_(args) {}

  Result<TensorView> resize(size_t index, const executorch::aten::SizesType* sizes, size_t rank) override;

 private:
  const Engine& engine_;
  executorch::runtime::Span<executorch::runtime::EValue*> args_;
};

}  // namespace torchtrt_ws
