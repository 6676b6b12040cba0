#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <set>
#include <string>

#include "state.h"

// TensorRT-RTX's runtime cache, which its own headers alone declare.
namespace standin {

/// Kernels that were compiled, by name, and who may still add to them.
struct Kernels {
  std::set<std::string> names;
  int contexts = 0;
  bool alive = true;  // its IRuntimeCache is
};

/// Compiles a kernel, unless it is among `kernels`; null: there is no cache.
void compile(Kernels* kernels, const std::string& name);

#if STANDIN_RTX_HEADERS
nvinfer1::IRuntimeConfig* make_runtime_config();

struct ConfigState {
  nvinfer1::ExecutionContextAllocationStrategy strategy = nvinfer1::ExecutionContextAllocationStrategy::kSTATIC;
  std::shared_ptr<Kernels> kernels;  // null: none was set
};

/// What a test set in a config of make_runtime_config().
const ConfigState& config_state(nvinfer1::IRuntimeConfig& config);
#endif

}  // namespace standin
