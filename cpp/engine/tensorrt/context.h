#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "budget/ladder.h"
#include "engine/tensorrt/runtime_cache.h"

namespace torchtrt_ws::tensorrt {

using Context = std::unique_ptr<nvinfer1::IExecutionContext>;

/// Makes an execution context, with device memory of its own (ExecutionContextAllocationStrategy::kSTATIC, the
/// default), or, where memory.in_block, without any (kUSER_MANAGED). `memory` is what was free before, for the case
/// that TensorRT gives no reason. `cache`: that of the engine; may be null. Fails with DoesNotFit or EngineFault; the
/// engine can then take another budget.
Result<Context> make_context(const std::string& subject, nvinfer1::ICudaEngine& engine, RuntimeCache* cache,
                             const MemoryFacts& memory, int64_t budget);

}  // namespace torchtrt_ws::tensorrt
