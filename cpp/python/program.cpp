#include "python/program.h"

#include <executorch/runtime/backend/backend_options_map.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

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

}  // namespace

void throw_error(Error error, const std::string& subject, const std::string& expected) {
  const LastError last = last_error();
  clear_last_error();
  const std::string code = executorch::runtime::to_string(error);
  if (last.error == error) throw NativeError(code, last.subject, last.found, last.expected, last.next_step);
  throw NativeError(code, subject, code + " from ExecuTorch", expected, "ExecuTorch's own log lines above say more.");
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

Program::Program(const std::string& path, const Options& options, bool mmap, bool etdump)
    : tracer_(etdump ? new executorch::etdump::ETDumpGen() : nullptr),
      module_(path, mmap ? Module::LoadMode::Mmap : Module::LoadMode::File,
              std::unique_ptr<executorch::runtime::EventTracer>(tracer_)) {
  if (registration_status() != Error::Ok) {
    throw NativeError(executorch::runtime::to_string(registration_status()), std::string("backend ") + kBackendId,
                      "another library registered for this id in this process", "torchtrt_ws",
                      "Import torchtrt_ws.runtime before the other library, or do not load the other.");
  }
  LoadOptions converted = to_load_options(options);
  executorch::runtime::LoadBackendOptionsMap map;
  Error error = converted.add_to(map);
  if (error == Error::Ok) error = module_.load(map, executorch::runtime::Program::Verification::InternalConsistency);
  if (error != Error::Ok) {
    throw_error(error, path, "a program that ExecuTorch can load");
  }
}

void Program::load_method(const std::string& method) {
  std::lock_guard<std::mutex> lock(mutex_);
  load_method_locked(method);
}

void Program::load_method_locked(const std::string& method) {
  if (module_.is_method_loaded(method)) return;
  has_recorded_ = true;
  clear_last_error();
  LoadScope scope;
  const Error error = load_planned(module_, method);
  if (error != Error::Ok) {
    throw_error(error, "method '" + method + "'", "a method that ExecuTorch can load");
  }
  engine_ids_.insert(engine_ids_.end(), scope.ids().begin(), scope.ids().end());
}

std::vector<EValue> Program::run_locked(const std::string& method, const std::vector<EValue>& values) {
  load_method_locked(method);
  has_recorded_ = true;
  clear_last_error();
  auto outputs = module_.execute(method, values);
  if (!outputs.ok()) {
    throw_error(outputs.error(), "method '" + method + "'", "inputs that it can run on");
  }
  return std::move(outputs.get());
}

std::string Program::etdump() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (tracer_ == nullptr) {
    throw NativeError(executorch::runtime::to_string(Error::InvalidArgument), "etdump", "a program that records nothing",
                      "one that was loaded with etdump=True", "Load it so");
  }
  if (!std::exchange(has_recorded_, false)) return {};
  const auto dump = tracer_->get_etdump_data();
  const std::unique_ptr<void, void (*)(void*)> memory(dump.buf, &std::free);
  return dump.buf == nullptr ? std::string() : std::string(static_cast<const char*>(dump.buf), dump.size);
}

std::vector<uint64_t> Program::engine_ids() {
  std::lock_guard<std::mutex> lock(mutex_);
  return engine_ids_;
}

}  // namespace torchtrt_ws::python
