#include "python/program.h"

#include <executorch/runtime/backend/backend_options_map.h>

#include <algorithm>
#include <array>
#include <utility>

#include "engine/dtype.h"

namespace torchtrt_ws::python {
namespace {

using executorch::extension::Module;
using executorch::runtime::BackendOption;
using executorch::runtime::Error;
using executorch::runtime::EValue;

template <typename Meta>
Declared declared(const Meta& meta) {
  if (!meta.ok()) return {"none", {}};  // no tensor
  const auto sizes = meta->sizes();
  return {dtype_name(meta->scalar_type()), std::vector<int64_t>(sizes.begin(), sizes.end())};
}

}  // namespace

void throw_error(Error error, const std::string& subject, const std::string& expected) {
  const LastError last = last_error();
  clear_last_error();
  const std::string code = executorch::runtime::to_string(error);
  if (last.error == error) throw NativeError(code, last.subject, last.found, last.expected, last.next_step);
  throw NativeError(code, subject, code + " from ExecuTorch", expected, "ExecuTorch's own log lines above say more.");
}

std::vector<BackendOption> to_backend_options(const Options& options) {
  std::vector<BackendOption> converted;
  for (const auto& [key, value] : options) {
    BackendOption option{};
    const auto* text = std::get_if<std::string>(&value);
    if (key.size() >= sizeof(option.key) ||
        (text != nullptr && text->size() >= executorch::runtime::kMaxOptionValueLength)) {
      throw NativeError("InvalidArgument", key, "an option longer than ExecuTorch holds",
                        "a key of at most 63 bytes and a value of at most 255", "Shorten it.");
    }
    std::copy(key.begin(), key.end(), option.key);
    if (text != nullptr) {
      std::array<char, executorch::runtime::kMaxOptionValueLength> array{};
      std::copy(text->begin(), text->end(), array.begin());
      option.value = array;
    } else if (const bool* flag = std::get_if<bool>(&value)) {
      option.value = *flag;
    } else {
      option.value = std::get<int>(value);
    }
    converted.push_back(option);
  }
  return converted;
}

Program::Program(const std::string& path, const Options& options, bool mmap)
    : module_(path, mmap ? Module::LoadMode::Mmap : Module::LoadMode::File) {
  if (registration_status() != Error::Ok) {
    throw NativeError(executorch::runtime::to_string(registration_status()), std::string("backend ") + kBackendId,
                      "another library registered for this id in this process", "torchtrt_ws",
                      "Import torchtrt_ws.runtime before the other library, or do not load the other.");
  }
  auto converted = to_backend_options(options);
  executorch::runtime::LoadBackendOptionsMap map;
  Error error = map.set_options(kBackendId, {converted.data(), converted.size()});
  if (error == Error::Ok) error = module_.load(map);
  if (error != Error::Ok) {
    throw_error(error, path, "a program that ExecuTorch can load");
  }
}

std::vector<std::string> Program::method_names() {
  std::lock_guard<std::mutex> lock(mutex_);
  auto names = module_.method_names();
  if (!names.ok()) throw_error(names.error(), "program", "a list of methods");
  std::vector<std::string> sorted(names->begin(), names->end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

void Program::load_method(const std::string& method) {
  std::lock_guard<std::mutex> lock(mutex_);
  load_method_locked(method);
}

void Program::load_method_locked(const std::string& method) {
  if (module_.is_method_loaded(method)) return;
  clear_last_error();
  LoadScope scope;
  const Error error = module_.load_method(method);
  if (error != Error::Ok) {
    throw_error(error, "method '" + method + "'", "a method that ExecuTorch can load");
  }
  engine_ids_.insert(engine_ids_.end(), scope.ids().begin(), scope.ids().end());
}

std::vector<Declared> Program::inputs(const std::string& method) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto meta = module_.method_meta(method);
  if (!meta.ok()) throw_error(meta.error(), "method '" + method + "'", "a method of the program");
  std::vector<Declared> all;
  for (size_t i = 0; i < meta->num_inputs(); ++i) all.push_back(declared(meta->input_tensor_meta(i)));
  return all;
}

std::vector<Declared> Program::outputs(const std::string& method) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto meta = module_.method_meta(method);
  if (!meta.ok()) throw_error(meta.error(), "method '" + method + "'", "a method of the program");
  std::vector<Declared> all;
  for (size_t i = 0; i < meta->num_outputs(); ++i) all.push_back(declared(meta->output_tensor_meta(i)));
  return all;
}

std::vector<EValue> Program::run_locked(const std::string& method, const std::vector<EValue>& values) {
  load_method_locked(method);
  clear_last_error();
  auto outputs = module_.execute(method, values);
  if (!outputs.ok()) {
    throw_error(outputs.error(), "method '" + method + "'", "inputs that it can run on");
  }
  return std::move(outputs.get());
}

std::vector<uint64_t> Program::engine_ids() {
  std::lock_guard<std::mutex> lock(mutex_);
  return engine_ids_;
}

}  // namespace torchtrt_ws::python
