#pragma once

#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/core/memory_allocator.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine_kind.h"
#include "engine/surroundings.h"

namespace torchtrt_ws::testing {

/// A device whose memory a test sets, and what engines on it did. One engine kind, "fake", lives on it.
struct Device {
  int64_t free = 1000;             // bytes, before any engine
  int64_t streamable = 800;        // of each engine that is opened from now on
  int64_t scratch = 100;           // beside a budget below `streamable`
  int64_t context = 50;            // of each context
  int64_t automatic = 800;         // what the engine would choose by itself
  int64_t granule = 0;             // bytes that a context takes beyond what it says
  bool shares = false;             // engines let others use their weights
  std::vector<std::string> takes;  // weights of each engine that is opened from now on, float32 of one element: refit()
                                   // takes them, and the input is multiplied with the sum of those that it was given
  int refit_fails_in = 0;          // 1: the next refit fails, 2: the one after, ...
  bool refit_throws = false;       // ... for want of host memory
  bool fault = false;              // the next run fails
  int fails_in = 0;                // 1: the next budget or context is refused, 2: the one after, ...
  ErrorCode refusal = ErrorCode::EngineFault;
  std::vector<std::string> calls;  // "set 400", "make", "drop", "run", "refit w", "undo", "close", in order
  bool payload_held = false;
  bool huge_pages = false;    // what the last engine was opened with
  std::string runtime_cache;  // likewise
  std::string refit_cache;    // likewise
  std::string input_name = "x";
  GraphUse graphs = GraphUse::Off;  // what the last engine was opened with
  int64_t margin = -1;              // likewise
  std::function<void()> on_open;    // at the start of each; may throw, or wait
  std::function<void()> on_run;
  std::function<void()> on_set;                             // at the start of each set_budget()
  int asked = 0;                                            // calls of device_bytes(): reports
  EngineCounters counters;                                  // what engines say they have counted
  const executorch::runtime::NamedDataMap* data = nullptr;  // the data files of programs that are loaded from now on
  std::string engine;                                       // the bytes that the last engine was opened with
  Surroundings here = {"9.0", "fake 1.0"};                  // what plans are chosen for
  std::map<std::string, ErrorCode> refuses;                 // engines of these bytes are not opened
};
Device& device();

/// Opens an engine on the device.
Result<std::unique_ptr<Engine>> open_fake(Payload payload, const OpenRequest& request);

/// Makes the device as new, and the kind "fake" known; the process has no defaults then.
void reset_device();

/// A blob of the wire format for an engine `name` of `kind` (in JSON's escapes) with float32 x[1..4, 2] -> y of the
/// same shape.
std::vector<char> make_blob(const std::string& name, int engines = 1, const std::string& program_streamable = "null",
                            const std::string& streamable = "null", const std::string& kind = "fake");

/// What make_blob() makes: its metadata, and a blob of such.
std::string blob_json(const std::string& name, int engines = 1, const std::string& program_streamable = "null",
                      const std::string& streamable = "null", const std::string& kind = "fake");
std::vector<char> pack_blob(const std::string& json, const std::string& engine = "fake engine",
                            const std::string& magic = "TR01");

/// One engine, loaded the way ExecuTorch loads a delegate.
class Loaded {
 public:
  using Options = std::vector<std::pair<std::string, executorch::runtime::OptionValue>>;
  using Specs = std::vector<std::pair<std::string, std::string>>;

  /// `program`, where given, is the program's allocator, and tells its engines from others'.
  explicit Loaded(std::vector<char> blob, const Options& options = {}, const Specs& specs = {},
                  executorch::runtime::MemoryAllocator* program = nullptr);
  /// From memory of the test's own, which outlives it.
  explicit Loaded(executorch::runtime::FreeableBuffer blob, const Options& options = {},
                  executorch::runtime::MemoryAllocator* program = nullptr);
  ~Loaded();

  executorch::runtime::Error error = executorch::runtime::Error::Ok;  // of init()
  executorch::runtime::DelegateHandle* handle = nullptr;

  /// Runs with x of `rows` rows, all `value`; returns the error and fills `output`.
  executorch::runtime::Error run(int rows, float value);
  std::vector<float> output;
  std::vector<int> output_shape;

 private:
  void load(const Options& options, const Specs& specs, executorch::runtime::MemoryAllocator* program);

  std::vector<char> blob_;
  std::unique_ptr<char[]> arena_;
  executorch::runtime::MemoryAllocator allocator_;
  executorch::runtime::FreeableBuffer processed_;
};

/// An option value that is a string.
executorch::runtime::OptionValue text(const std::string& value);

executorch::runtime::BackendInterface& backend();

}  // namespace torchtrt_ws::testing
