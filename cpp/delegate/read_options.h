#pragma once

#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/backend/options.h>
#include <executorch/runtime/core/span.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "blob/verification.h"
#include "budget/request.h"
#include "engine/graph_use.h"

namespace torchtrt_ws {

/// ExecuTorch's option span as plain values. Arrays in it need not be NUL-terminated; the scan is bounded.
std::vector<Option> copy_options(executorch::runtime::Span<const executorch::runtime::BackendOption> options);

/// Compile specs as plain values; the value keeps every byte.
std::vector<BakedSpec> copy_specs(executorch::runtime::ArrayRef<executorch::runtime::CompileSpec> specs);

/// The load-time options that are not about the budget.
struct OpenOptions {
  std::optional<int> device_id;
  std::optional<GraphUse> cuda_graph;  // nullopt: nothing was said
  Verify verify = Verify::Checksum;
  bool share_engines = true;
  bool share_scratch = true;
  bool huge_pages = true;
  std::string runtime_cache;  // OpenRequest::runtime_cache
  std::string refit_cache = "off";
  int contexts = 1;
};

/// `options`, and `otherwise` where they say nothing. Fails with BadOption, also where the two keys for graphs
/// contradict each other.
Result<OpenOptions> read_open_options(const std::vector<Option>& options, OpenOptions otherwise);

/// What the program's compile specs say of graphs, for loads that do not: Torch-TensorRT's kUseCudaGraphsKey, a bool as
/// one byte, a digit or a word. nullopt where there is none, and where it cannot be read, with a warning in `notes`:
/// answers are the same with and without graphs.
std::optional<GraphUse> baked_graph_use(const std::vector<BakedSpec>& specs, std::vector<std::string>& notes);

}  // namespace torchtrt_ws
