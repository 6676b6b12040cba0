#pragma once

#include <executorch/devtools/etdump/etdump_flatcc.h>
#include <executorch/extension/module/module.h>
#include <executorch/runtime/core/evalue.h>

#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "torchtrt_ws/load_options.h"

namespace torchtrt_ws::python {

/// A failure on its way to Python. Becomes `_native.Error(code, subject, found, expected, next_step)`; the code is
/// ExecuTorch's, by name.
struct NativeError : std::exception {
  NativeError(std::string code_, std::string subject_, std::string found_, std::string expected_, std::string next_)
      : code(std::move(code_)),
        subject(std::move(subject_)),
        found(std::move(found_)),
        expected(std::move(expected_)),
        next_step(std::move(next_)) {}
  const char* what() const noexcept override { return found.c_str(); }

  std::string code, subject, found, expected, next_step;
};

/// Throws what the delegate reported on this thread; if ExecuTorch failed outside the delegate, its code and
/// `expected`.
[[noreturn]] void throw_error(executorch::runtime::Error error, const std::string& subject,
                              const std::string& expected);

/// Load-time options: key and value, as Python gives them.
using Options = std::vector<std::pair<std::string, std::variant<bool, int, std::string>>>;

/// The same for ExecuTorch. Throws NativeError for a key or string that ExecuTorch would cut.
LoadOptions to_load_options(const Options& options);

/// What a method declares of one of its inputs or outputs.
struct Slot {
  bool is_tensor = false;
  executorch::aten::ScalarType dtype{};
  bool planned = false;                           // ExecuTorch has memory for it; else it works in the caller's
  size_t most_bytes = 0;                          // of the largest shape
  std::vector<executorch::aten::SizesType> most;  // that shape
};
struct Slots {
  std::vector<Slot> inputs, outputs;
};

/// Memory of the caller that an output goes to.
struct Destination {
  bool given = false;
  bool on_host = false;
  int from_device = -1;  // the output is planned in memory of that device, and copied from there; -1: it is not
  void* data = nullptr;
  size_t nbytes = 0;
};

/// A loaded program. Safe to use from several threads: calls take turns. No member needs the GIL.
class Program {
 public:
  /// Opens `path` (memory mapped, or read whole), with the tensors of `data_files`, and keeps the options for the
  /// methods that load later. `etdump`: record what loads and runs do, for etdump().
  Program(const std::string& path, const Options& options, bool mmap, const std::vector<std::string>& data_files,
          bool etdump);

  /// Needs the GIL, and gives it away meanwhile: unloading waits and logs, and a log line may need it in another
  /// thread.
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void load_method(const std::string& method);

  /// Of a method that is loaded; null: it is not. They live as long as this. Waits for no run.
  const Slots* find_slots(const std::string& method);

  /// Runs, and hands the outputs to `take` before anyone else may run: they lie in the program's own memory, or in
  /// `destinations`: one for each output, or none at all. An output that is not planned is written there by the run
  /// itself, and must have one of Slot::most_bytes.
  template <typename Take>
  void execute(const std::string& method, const std::vector<executorch::runtime::EValue>& values,
               const std::vector<Destination>& destinations, Take&& take) {
    std::lock_guard<std::mutex> lock(mutex_);
    take(run_locked(method, values, destinations));
  }

  /// Ids of the engines of the methods loaded so far, in loading order.
  std::vector<uint64_t> engine_ids();

  /// Calls `work` with the ids of all their engines while none of `programs` is in a call: later ones wait. They are
  /// the contexts of one program, always in the same order. Throws NativeError for one that is closed.
  static void between_calls(const std::vector<Program*>& programs,
                            const std::function<void(const std::vector<uint64_t>& ids)>& work);

  /// Unloads it, after the calls that came before. What is called later throws.
  void close();

  /// What was recorded since the program was opened, or since the last call: ExecuTorch's ETDump, a flatbuffer. Empty
  /// where nothing was. Throws NativeError where it was not opened for that.
  std::string etdump();

 private:
  std::vector<executorch::runtime::EValue> run_locked(const std::string& method,
                                                      const std::vector<executorch::runtime::EValue>& values,
                                                      const std::vector<Destination>& destinations);
  void load_method_locked(const std::string& method);
  void check_open_locked() const;

  const std::string path_;
  std::mutex slots_mutex_;                       // guards slots_, for moments; taken after mutex_ where both are
  std::map<std::string, Slots> slots_;           // of the methods that were loaded
  std::mutex mutex_;                             // guards all below; a Module is not safe to use from two threads
  executorch::etdump::ETDumpGen* const tracer_;  // module_ owns it; null: nobody asked for it
  bool has_recorded_ = false;                    // a second dump of the same would fail in ExecuTorch
  std::unique_ptr<executorch::extension::Module> module_;  // null: closed
  std::vector<uint64_t> engine_ids_;
};

}  // namespace torchtrt_ws::python
