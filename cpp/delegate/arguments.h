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

/// Bytes that the program planned for each output, for messages: a tensor has its largest shape until the first run,
/// and tells no more after it. Precondition: check_inputs().
void note_planned(const Engine& engine, executorch::runtime::Span<executorch::runtime::EValue*> args,
                  std::vector<size_t>& planned);

/// The outputs of a call, as the engine sees them.
class OutputArguments final : public OutputSink {
 public:
  /// `planned`: of note_planned().
  OutputArguments(const Engine& engine, executorch::runtime::Span<executorch::runtime::EValue*> args,
                  const std::vector<size_t>& planned)
      : engine_(engine), args_(args), planned_(planned) {}

  Result<TensorView> resize(size_t index, const executorch::aten::SizesType* sizes, size_t rank) override;

 private:
  const Engine& engine_;
  executorch::runtime::Span<executorch::runtime::EValue*> args_;
  const std::vector<size_t>& planned_;
};

}  // namespace torchtrt_ws
