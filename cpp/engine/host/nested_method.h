#pragma once

#include <executorch/extension/data_loader/buffer_data_loader.h>
#include <executorch/extension/memory_allocator/malloc_memory_allocator.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/executor/program.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/host/nested_weights.h"

namespace torchtrt_ws::host {

/// The bytes of a nested program, which outlive what is loaded from them, and its weights where they are not in these.
struct NestedSource {
  const uint8_t* data;
  size_t size;
  std::shared_ptr<const NestedWeights> weights = nullptr;
};

/// A nested program and one method of it, with the memory that it was planned for. What ExecuTorch's extension::Module
/// does, for a program on the processor alone; a Module takes weights from files that it opens itself, and from nothing
/// else. Neither copied nor moved: its parts point at each other.
class NestedMethod {
 public:
  /// A program of which no method is loaded yet. Fails with BadEngine when ExecuTorch refuses it.
  static Result<std::unique_ptr<NestedMethod>> open(const NestedSource& source);

  /// Loads `name`. Once. Fails with BadEngine, which names the weight if one is missing.
  Status load(const std::string& name, const executorch::runtime::LoadBackendOptionsMap& options);

  /// Of the program. Fails with BadEngine.
  Result<std::vector<std::string>> names() const;

  [[nodiscard]] executorch::runtime::Method& method() { return *method_; }
  [[nodiscard]] executorch::runtime::MethodMeta meta() const { return method_->method_meta(); }

 private:
  explicit NestedMethod(const NestedSource& source) : weights_(source.weights), loader_(source.data, source.size) {}
  Status plan_memory(const std::string& name);

  // Each of these needs those above it.
  std::shared_ptr<const NestedWeights> weights_;
  executorch::extension::BufferDataLoader loader_;
  executorch::extension::MallocMemoryAllocator allocator_, temporary_;
  std::optional<executorch::runtime::Program> program_;
  std::vector<std::vector<uint8_t>> planned_;
  std::vector<executorch::runtime::Span<uint8_t>> spans_;
  std::unique_ptr<executorch::runtime::HierarchicalAllocator> memory_;
  std::unique_ptr<executorch::runtime::MemoryManager> manager_;
  std::optional<executorch::runtime::Method> method_;
};

/// What ExecuTorch said while somebody was `step`.
Failure refused_by_executorch(const std::string& step, executorch::runtime::Error error);

}  // namespace torchtrt_ws::host
