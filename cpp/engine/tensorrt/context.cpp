#include "engine/tensorrt/context.h"

#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {
Result<Context> make_context(const std::string& subject, nvinfer1::ICudaEngine& engine, RuntimeCache* cache,
                             const MemoryFacts& memory, int64_t budget) {
  const ErrorScope errors;
  using Strategy = nvinfer1::ExecutionContextAllocationStrategy;
  const Strategy strategy = memory.in_block ? Strategy::kUSER_MANAGED : Strategy::kSTATIC;
  Context context(cache != nullptr ? cache->make_context(strategy) : engine.createExecutionContext(strategy));
  if (context != nullptr) return context;
  const std::string words = errors.words();
  const std::string found = words.empty() ? "no execution context, and no reason from TensorRT" : words;
  if (says_out_of_memory(words) || needed_memory(memory, budget) > memory.free) {
    return Failure{ErrorCode::DoesNotFit, subject, found,
                   std::to_string(needed_memory(memory, budget)) + " bytes for weights, scratch and context; " +
                       std::to_string(memory.free) + " were free",
                   "Free memory, or choose a smaller budget"};
  }
  return Failure{ErrorCode::EngineFault, subject, found, "an execution context",
                 "If the message does not tell the cause, report it"};
}

}  // namespace torchtrt_ws::tensorrt
