#pragma once

#include <executorch/runtime/core/exec_aten/exec_aten.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "budget/ladder.h"
#include "engine/payload.h"
#include "torchtrt_ws/api.h"
#include "torchtrt_ws/new_weights.h"

namespace torchtrt_ws {

struct OpenRequest;  // engine/engine_kind.h

/// One input or output of an engine, in the order of the delegate's arguments.
struct TensorSpec {
  std::string name;
  executorch::aten::ScalarType dtype;
  std::vector<int64_t> min;  // the smallest shape accepted (inputs) or returned (outputs); rank = min.size()
  std::vector<int64_t> max;  // the largest; equal to `min` in static dimensions
};

/// A contiguous tensor the caller holds. `data` may point to host or device memory; it is not owned.
struct TensorView {
  executorch::aten::ScalarType dtype;
  void* data;
  const executorch::aten::SizesType* sizes;  // `rank` of them; valid until the tensor is resized
  size_t rank;
  size_t nbytes;
};

// The two classes below are exported so that their typeinfo and vtables are the same in the delegate and its adapters.

/// Where an engine finds room for its outputs once it knows their shapes.
class TORCHTRT_WS_API OutputSink {
 public:
  virtual ~OutputSink() = default;

  /// Gives output `index` the shape `sizes[0..rank)` and returns where to write it.
  /// Fails with BadArgument when the program planned less memory for it.
  virtual Result<TensorView> resize(size_t index, const executorch::aten::SizesType* sizes, size_t rank) = 0;
};

/// What an engine has counted since it was opened.
struct EngineCounters {
  uint64_t graph_hits = 0;     // runs that replayed a captured CUDA graph
  uint64_t cache_hits = 0;     // what it would have had to prepare, and found prepared in a cache on disk
  uint64_t cache_misses = 0;   // what it prepared, and left in the cache
  double context_seconds = 0;  // what making its last context took; 0 where that is nothing
};

/// Puts back the weights that a refit() replaced, those of them that are known; while the engine lives, has no context,
/// and was not refitted again. Where some are not known, or it fails, the engine refuses make_context() from then on.
using UndoRefit = std::function<Status()>;

/// One deserialized engine: weights that can be streamed, and an execution context that comes and goes.
///
/// Engines may share one copy of the weights (share()); the budget is then everybody's, contexts are each one's own.
///
/// The delegate knows engines only through this class. The order of calls is: `set_budget()` while there is no context,
/// `make_context()`, any number of `run()`, `drop_context()`, and again. The caller serializes all calls of one engine
/// (delegate/handle.h says how); two engines may be used from two threads. Sizes are bytes. "Device" is the GPU for
/// TensorRT and this process's resident memory for the host engine.
class TORCHTRT_WS_API Engine {
 public:
  virtual ~Engine() = default;

  /// Another engine on these weights, without a context; `request` says how, as for OpenEngine. `payload` has the same
  /// bytes as this one's; it is taken by an engine that reads on in it, which cannot use this one's: that goes with it.
  /// Null, and nothing taken, where the kind cannot share. Fails as OpenEngine does.
  virtual Result<std::unique_ptr<Engine>> share(Payload& payload, const OpenRequest& request) const = 0;

  /// Tells whose weights these are: engines that share them give the same answer.
  virtual const void* weights() const = 0;

  /// Whose memory it takes: "cuda:0", or "cpu". Engines with the same answer share that memory.
  virtual std::string device_name() const = 0;

  virtual const std::vector<TensorSpec>& inputs() const = 0;
  virtual const std::vector<TensorSpec>& outputs() const = 0;

  /// Bytes of weights that can stay in host memory; 0 for an engine that was built without weight streaming.
  virtual int64_t streamable_bytes() const = 0;

  /// Bytes of streamable weights kept on the device now; where the engine's runtime tells it, its own answer.
  virtual int64_t budget() const = 0;

  /// The budget the engine's runtime would choose by itself on a device that this engine is not on; within
  /// [0, streamable_bytes()]. It knows nothing of other engines.
  virtual Result<int64_t> automatic_budget() const = 0;

  /// Bytes of device memory that streaming needs beside the budget, also when nothing streams now; 0 while the engine
  /// cannot tell.
  virtual int64_t scratch_bytes() const = 0;

  /// Bytes on the device for weights, scratch and context, now.
  virtual int64_t device_bytes() const = 0;

  /// What the device has free, and what this engine takes of it; where weights are shared, one engine counts them: the
  /// numbers that budgets are planned with, and those of an error that says a budget does not fit.
  virtual MemoryFacts memory() const = 0;

  /// Keeps `bytes` of the streamable weights on the device. Fails with DoesNotFit when memory runs out, WrongState when
  /// a context lives, of this engine or of one that shares the weights. A call that fails leaves the engine able to
  /// take another budget.
  virtual Status set_budget(int64_t bytes) = 0;

  /// What budget() says once set_budget() has kept `bytes`, which are within [0, streamable_bytes()].
  virtual int64_t budget_for(int64_t bytes) const { return bytes; }

  /// Asked after each run: copies numbers, no more.
  virtual EngineCounters counters() const noexcept { return {}; }

  virtual bool has_context() const = 0;

  /// Makes the engine ready to run. Does nothing when there is a context. Fails with DoesNotFit when memory runs out;
  /// then `set_budget()` may be tried again.
  virtual Status make_context() = 0;

  /// Waits for work in flight and gives the context's memory back. Does nothing when there is no context.
  virtual void drop_context() noexcept = 0;

  /// Gives back what is kept for the tensors of later calls, which take it again. There is no context.
  virtual void release_staging() noexcept {}

  /// What it keeps from call to call is as before the first. Does nothing where it keeps nothing. Fails with
  /// EngineFault.
  virtual Status reset_state() { return ok_status(); }

  /// Whether refit() takes weights; never changes.
  virtual bool refittable() const { return false; }

  /// Those that it takes. Fails with NotSupported where it takes none.
  virtual Result<std::vector<RefittableWeight>> refittable_weights() const {
    return Failure{ErrorCode::NotSupported, "engine", "an engine of a kind that keeps the weights it was saved with",
                   "one that takes others", "Save the program again with the new weights"};
  }

  /// Replaces `weights`, each of them one of refittable_weights() and as that says, each once; reads them during the
  /// call only. The engine, and those that share its weights, have no context. The budget stays; share() gives null
  /// afterwards.
  /// Fails with BadArgument where others must come with them, WrongState, DoesNotFit or EngineFault. The
  /// weights are as before then; where that cannot be, make_context() fails with WrongState until these weights are
  /// given again.
  virtual Result<UndoRefit> refit(const std::vector<NewWeight>& weights) {
    (void)weights;
    return refittable_weights().failure();
  }

  /// Runs once. `inputs` has one view for each of inputs(), already checked against dtype, rank and bounds. Fails with
  /// BadArgument, among others, for shapes that it does not take together although each is within its bounds.
  virtual Status run(const std::vector<TensorView>& inputs, OutputSink& outputs) = 0;
};

}  // namespace torchtrt_ws
