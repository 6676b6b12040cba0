#include "python/program.h"

#include <executorch/runtime/backend/backend_options_map.h>
#include <executorch/runtime/core/exec_aten/util/scalar_type_util.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include "python/log_lines.h"
#include "python/unlocked.h"
#include "torchtrt_ws/adapter.h"
#include "torchtrt_ws/last_error.h"
#include "torchtrt_ws/load_scope.h"

namespace torchtrt_ws::python {

using executorch::extension::Module;
using executorch::runtime::Error;
using executorch::runtime::EValue;

namespace {

/// ExecuTorch's Module allocates the memory that a file plans for a method, and lets the allocator's exceptions out.
Error load_planned(Module& module, const std::string& method) {
  try {
    return module.load_method(method);
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {  // more than a vector may ever hold
  }
  throw NativeError(executorch::runtime::to_string(Error::MemoryAllocationFailed), "method '" + method + "'",
                    "more memory planned for its tensors than there is", "a method that fits",
                    "Free memory, or save the program again if the file may be damaged");
}

/// Before what may fail: what is told of it then is its own.
void forget_failures() noexcept {
  take_log();
  clear_last_error();
  forget_error_lines();
}

Slot slot_of(const executorch::runtime::Result<executorch::runtime::TensorInfo>& info) {
  if (!info.ok()) return {};  // a number, say
  const auto sizes = info->sizes();
  return {true, info->scalar_type(), info->is_memory_planned(), info->nbytes(), {sizes.begin(), sizes.end()}};
}

Slots slots_of(const executorch::runtime::MethodMeta& meta) {
  Slots slots;
  for (size_t i = 0; i < meta.num_inputs(); ++i) {
    const auto tag = meta.input_tag(i);
    const bool tensor = tag.ok() && *tag == executorch::runtime::Tag::Tensor;
    slots.inputs.push_back(tensor ? slot_of(meta.input_tensor_meta(i)) : Slot{});
  }
  for (size_t i = 0; i < meta.num_outputs(); ++i) {
    const auto tag = meta.output_tag(i);
    const bool tensor = tag.ok() && *tag == executorch::runtime::Tag::Tensor;
    slots.outputs.push_back(tensor ? slot_of(meta.output_tensor_meta(i)) : Slot{});
  }
  return slots;
}

/// Tells the method where to write. ExecuTorch takes a tensor for it, and of that the address and the bytes.
Error set_output(Module& module, const std::string& method, size_t index, const Slot& slot, void* data) {
  using namespace executorch::aten;
  // Of the shape that the program declares: bytes may be more than the 32 bits of a size hold.
  auto sizes = slot.most;
  TensorImpl whole(slot.dtype, static_cast<ssize_t>(sizes.size()), sizes.data(), data);
  return module.set_output(method, EValue(Tensor(&whole)), index);
}

}  // namespace

void throw_error(Error error, const std::string& subject, const std::string& expected) {
  const LastError last = last_error();
  clear_last_error();
  const std::string code = executorch::runtime::to_string(error);
  const std::string reason = error_lines();
  if (last.error == error) {
    // A program inside an engine fails as any other does.
    const bool from_executorch = !reason.empty() && last.found.find("from ExecuTorch") != std::string::npos;
    throw NativeError(code, last.subject, from_executorch ? last.found + " (" + reason + ")" : last.found,
                      last.expected, from_executorch ? "" : last.next_step);
  }
  throw NativeError(
      code, subject, reason.empty() ? code + " from ExecuTorch" : reason + " (" + code + ")", expected,
      reason.empty() ? "ExecuTorch gave no reason; torchtrt_ws.logs.verbose() shows all that it says" : "");
}

LoadOptions to_load_options(const Options& options) {
  LoadOptions converted;
  for (const auto& [key, value] : options) {
    if (const auto* text = std::get_if<std::string>(&value)) {
      converted.add_text(key, *text);
    } else if (const bool* flag = std::get_if<bool>(&value)) {
      converted.add(key, *flag);
    } else {
      converted.add(key, std::get<int>(value));
    }
    if (converted.error() == Error::Ok) continue;
    throw NativeError("InvalidArgument", key, "an option longer than ExecuTorch holds",
                      "a key of at most 63 bytes and a value of at most 255", "Shorten it.");
  }
  return converted;
}

Program::Program(const std::string& path, const Options& options, bool mmap, const std::vector<std::string>& data_files,
                 bool etdump)
    : path_(path),
      tracer_(etdump ? new executorch::etdump::ETDumpGen() : nullptr),
      module_(std::make_unique<Module>(path, data_files, mmap ? Module::LoadMode::Mmap : Module::LoadMode::File,
                                       std::unique_ptr<executorch::runtime::EventTracer>(tracer_))) {
  if (registration_status() != Error::Ok) {
    throw NativeError(executorch::runtime::to_string(registration_status()), std::string("backend ") + kBackendId,
                      "another library registered for this id in this process", "torchtrt_ws",
                      "Import torchtrt_ws.runtime before the other library, or do not load the other.");
  }
  LoadOptions converted = to_load_options(options);
  executorch::runtime::LoadBackendOptionsMap map;
  forget_failures();
  Error error = converted.add_to(map);
  if (error == Error::Ok) error = module_->load(map, executorch::runtime::Program::Verification::InternalConsistency);
  if (error != Error::Ok) {
    throw_error(error, path, "a program that ExecuTorch can load");
  }
}

Program::~Program() {
  if (module_ == nullptr) return;
  // While Python ends, unloading waits for others no longer than all of its end does; then the process takes it away.
  if (Py_IsInitialized() == 0 && !calls_have_ended()) {
    [[maybe_unused]] const auto* const left = module_.release();
    return;
  }
  const Unlocked unlocked;
  module_.reset();
}

void Program::check_open_locked() const {
  if (module_ != nullptr) return;
  throw NativeError(executorch::runtime::to_string(Error::InvalidState), path_, "a program that was closed",
                    "one that is loaded", "Load it again");
}

void Program::load_method(const std::string& method) {
  std::lock_guard<std::mutex> lock(mutex_);
  load_method_locked(method);
}

const Slots* Program::find_slots(const std::string& method) {
  std::lock_guard<std::mutex> lock(slots_mutex_);
  const auto found = slots_.find(method);
  return found == slots_.end() ? nullptr : &found->second;
}

void Program::load_method_locked(const std::string& method) {
  check_open_locked();
  if (find_slots(method) != nullptr) return;
  has_recorded_ = true;
  forget_failures();
  LoadScope scope;
  const Error error = load_planned(*module_, method);
  if (error != Error::Ok) {
    throw_error(error, "method '" + method + "'", "a method that ExecuTorch can load");
  }
  const auto meta = module_->method_meta(method);
  if (!meta.ok()) throw_error(meta.error(), "method '" + method + "'", "a method that says what it takes");
  engine_ids_.insert(engine_ids_.end(), scope.ids().begin(), scope.ids().end());
  std::lock_guard<std::mutex> lock(slots_mutex_);
  slots_.emplace(method, slots_of(*meta));
}

std::vector<EValue> Program::run_locked(const std::string& method, const std::vector<EValue>& values,
                                        const std::vector<Destination>& destinations) {
  load_method_locked(method);
  has_recorded_ = true;
  const Slots& slots = *find_slots(method);
  forget_failures();
  const std::string subject = "method '" + method + "'";
  for (size_t i = 0; i < slots.outputs.size() && i < destinations.size(); ++i) {
    const Slot& slot = slots.outputs[i];
    if (!slot.is_tensor || slot.planned || slot.most_bytes == 0 || destinations[i].nbytes < slot.most_bytes) {
      continue;  // nothing to tell, or too little memory, which the method then has none of
    }
    const Error error = set_output(*module_, method, i, slot, destinations[i].data);
    if (error != Error::Ok) throw_error(error, subject, "memory for its outputs");
  }
  auto outputs = module_->execute(method, values);
  if (!outputs.ok()) throw_error(outputs.error(), subject, "inputs that it can run on");
  return std::move(outputs.get());
}

std::string Program::etdump() {
  std::lock_guard<std::mutex> lock(mutex_);
  check_open_locked();
  if (tracer_ == nullptr) {
    throw NativeError(executorch::runtime::to_string(Error::InvalidArgument), "etdump",
                      "a program that records nothing", "one that was loaded with etdump=True", "Load it so");
  }
  if (!std::exchange(has_recorded_, false)) return {};
  const auto dump = tracer_->get_etdump_data();
  const std::unique_ptr<void, void (*)(void*)> memory(dump.buf, &std::free);
  return dump.buf == nullptr ? std::string() : std::string(static_cast<const char*>(dump.buf), dump.size);
}

std::vector<uint64_t> Program::engine_ids() {
  std::lock_guard<std::mutex> lock(mutex_);
  check_open_locked();
  return engine_ids_;
}

void Program::between_calls(const std::vector<Program*>& programs,
                            const std::function<void(const std::vector<uint64_t>& ids)>& work) {
  std::vector<std::unique_lock<std::mutex>> locks;
  std::vector<uint64_t> ids;
  for (Program* program : programs) {
    locks.emplace_back(program->mutex_);
    program->check_open_locked();
    ids.insert(ids.end(), program->engine_ids_.begin(), program->engine_ids_.end());
  }
  work(ids);
}

void Program::close() {
  std::lock_guard<std::mutex> lock(mutex_);
  module_.reset();
  engine_ids_.clear();
}

}  // namespace torchtrt_ws::python
