#include "engine/tensorrt/context.h"

#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {
namespace {

/// Weights that come with the context, its own memory, and scratch.
int64_t needed(const MemoryFacts& memory, int64_t budget) {
  return memory.context + budget + (budget < memory.streamable ? memory.scratch : 0);
}

}  // namespace

Result<Context> make_context(const std::string& subject, nvinfer1::ICudaEngine& engine, const MemoryFacts& memory,
                             int64_t budget) {
  const ErrorScope errors;
  Context context(engine.createExecutionContext());
  if (context != nullptr) return context;
  const std::string words = errors.words();
  const std::string found = words.empty() ? "no execution context, and no reason from TensorRT" : words;
  if (says_out_of_memory(words) || needed(memory, budget) > memory.free) {
    return Failure{ErrorCode::DoesNotFit, subject, found,
                   std::to_string(needed(memory, budget)) + " bytes for weights, scratch and context; " +
                       std::to_string(memory.free) + " were free",
                   "Free memory, or choose a smaller budget"};
  }
  return Failure{ErrorCode::EngineFault, subject, found, "an execution context",
                 "If the message does not tell the cause, report it"};
}

}  // namespace torchtrt_ws::tensorrt
