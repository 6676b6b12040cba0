#include "engine/host/nested_method.h"

#include <executorch/runtime/platform/runtime.h>

#include <new>
#include <stdexcept>
#include <utility>

namespace torchtrt_ws::host {

using executorch::runtime::Error;
using executorch::runtime::Program;

Failure refused_by_executorch(const std::string& step, Error error) {
  return {ErrorCode::BadEngine, "host engine",
          std::string(executorch::runtime::to_string(error)) + " from ExecuTorch while " + step,
          "an ExecuTorch program with the method that the file names", "ExecuTorch's own log lines above say more"};
}

Result<std::unique_ptr<NestedMethod>> NestedMethod::open(const NestedSource& source) {
  executorch::runtime::runtime_init();
  std::unique_ptr<NestedMethod> nested(new NestedMethod(source));
  auto program = Program::load(&nested->loader_, Program::Verification::InternalConsistency);
  if (!program.ok()) return refused_by_executorch("loading it", program.error());
  nested->program_.emplace(std::move(program.get()));
  return nested;
}

Status NestedMethod::plan_memory(const std::string& name) {
  const auto meta = program_->method_meta(name.c_str());
  if (!meta.ok()) return refused_by_executorch("reading its method '" + name + "'", meta.error());
  for (size_t i = 0; i < meta->num_memory_planned_buffers(); ++i) {
    const auto device = meta->memory_planned_buffer_device(i);
    if (device.ok() && !device->is_cpu()) {
      return Failure{ErrorCode::BadEngine, "host engine", "memory planned on a device", "a program for the processor",
                     "Save the program again"};
    }
    const auto size = meta->memory_planned_buffer_size(i);
    if (!size.ok()) return refused_by_executorch("planning its memory", size.error());
    planned_.emplace_back(static_cast<size_t>(size.get()));
  }
  for (std::vector<uint8_t>& buffer : planned_) spans_.emplace_back(buffer.data(), buffer.size());
  memory_ = std::make_unique<executorch::runtime::HierarchicalAllocator>(
      executorch::runtime::Span<executorch::runtime::Span<uint8_t>>(spans_.data(), spans_.size()));
  manager_ = std::make_unique<executorch::runtime::MemoryManager>(&allocator_, memory_.get(), &temporary_);
  return ok_status();
}

Status NestedMethod::load(const std::string& name, const executorch::runtime::LoadBackendOptionsMap& options) {
  Status planned = plan_memory(name);
  if (!planned.ok()) return planned;
  if (weights_ != nullptr) (void)weights_->take_missing();
  auto method = program_->load_method(name.c_str(), manager_.get(), nullptr, weights_.get(),
                                      options.size() > 0 ? &options : nullptr);
  const std::string missing = weights_ == nullptr ? std::string() : weights_->take_missing();
  if (!method.ok() && !missing.empty()) {
    return bad_weight("host engine", missing, weights_->weights().file(),
                      "nothing of it in the program's list of weights", "all that its method '" + name + "' asks for");
  }
  if (!method.ok()) return refused_by_executorch("loading its method '" + name + "'", method.error());
  method_.emplace(std::move(method.get()));
  return ok_status();
}

Result<std::vector<std::string>> NestedMethod::names() const {
  std::vector<std::string> names;
  for (size_t i = 0; i < program_->num_methods(); ++i) {
    const auto name = program_->get_method_name(i);
    if (!name.ok()) return refused_by_executorch("reading its methods", name.error());
    names.emplace_back(name.get());
  }
  return names;
}

}  // namespace torchtrt_ws::host
