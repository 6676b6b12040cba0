#include "engine/tensorrt/tensorrt_engine.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "engine/log.h"
#include "engine/python_lock.h"
#include "engine/tensorrt/alias.h"
#include "engine/tensorrt/context.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/plan.h"
#include "engine/tensorrt/plan_digest.h"
#include "engine/tensorrt/refit_cache.h"
#include "engine/tensorrt/traced.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws::tensorrt {

Result<std::unique_ptr<Engine>> TensorRTEngine::open(Payload payload, const OpenRequest& request) {
  const int device = request.device_id.value_or(request.metadata.device_id);
  std::unique_ptr<TensorRTEngine> engine(new TensorRTEngine("engine '" + request.name + "'", device));
  Status loaded = engine->load(std::move(payload), request);
  if (!loaded.ok()) return std::move(loaded).failure();
  return std::unique_ptr<Engine>(std::move(engine));
}

Status TensorRTEngine::load(Payload payload, const OpenRequest& request) {
  Status step = check_platform(subject_, request.metadata.target_platform);
  if (step.ok()) step = check_plan(subject_, payload.data(), payload.size());
  if (step.ok()) step = check_device(subject_, device_);
  if (!step.ok()) return step;
  const DeviceGuard guard(device_);
  step = guard.check(subject_);
  if (!step.ok()) return step;
  const Product product = product_of(payload.data(), payload.size());
  auto runtime = Runtime::shared(subject_, product, device_);
  if (!runtime.ok()) return std::move(runtime).failure();
  std::optional<Weights> weights;
  if (request.metadata.own && request.metadata.own->weights) {
    auto found = Weights::find(subject_, *request.metadata.own->weights, request.weights);
    if (!found.ok()) return std::move(found).failure();
    weights.emplace(std::move(found).value());
  }
  Verification verification(request.verify, request.metadata, subject_);
  if (!verification.note().empty()) log_info(verification.note());
  RuntimeCacheUse cache{request.runtime_cache, ""};
  if (keeps_runtime_cache(product, request.runtime_cache)) {
    cache.plan = plan_digest(payload.data(), payload.size(), request.metadata, request.verify);
  }
  auto engine = weights ? open_refitted(*runtime.value(), std::move(payload), verification, *weights, request)
                        : open_whole(*runtime.value(), std::move(payload), verification, request);
  if (!engine.ok()) return std::move(engine).failure();
  loaded_plan_ = true;
  std::unique_ptr<FileWeights> known;
  if (weights && engine.value()->isRefittable()) {
    known = FileWeights::keep(*request.metadata.own->weights, *request.weights);
  }
  return take(std::make_shared<SharedPlan>(subject_, std::move(runtime).value(), std::move(engine).value(), device_,
                                           cache, std::move(known)),
              request);
}

Result<CudaEngine> TensorRTEngine::open_whole(Runtime& runtime, Payload payload, const Verification& verification,
                                              const OpenRequest& request) const {
  const uint64_t plan_bytes = payload.size();
  const cudaError_t before = cudaPeekAtLastError();
  auto engine = runtime.deserialize(subject_, std::move(payload), verification, request.huge_pages ? plan_bytes : 0);
  if (!engine.ok()) return refused_while_reading(std::move(engine).failure(), before);
  Status whole = runtime.check_has_weights(subject_, *engine.value(), plan_bytes);
  if (!whole.ok()) return std::move(whole).failure();
  return engine;
}

/// The weights come before there is a budget: it counts the bytes of weights that TensorRT has.
Result<CudaEngine> TensorRTEngine::open_refitted(Runtime& runtime, Payload payload, const Verification& verification,
                                                 const Weights& weights, const OpenRequest& request) {
  std::optional<RefitCache> cache;
  if (!request.refit_cache.empty() && request.refit_cache != kCacheOff) {
    cache.emplace(subject_, request.refit_cache, runtime, device_, payload.data(), payload.size(),
                  *request.metadata.own->weights, request.verify);
    auto found = cache->find(request.huge_pages);
    refit_cache_hits_ = cache->hits();
    if (!found.ok() || found.value() != nullptr) return found;
  }
  const cudaError_t before = cudaPeekAtLastError();
  // TensorRT-RTX 1.6.1 takes the memory for the weights while it reads a plan that has none.
  const uint64_t weight_bytes = request.huge_pages ? weights.bytes() : 0;
  auto engine = runtime.deserialize(subject_, std::move(payload), verification, weight_bytes);
  if (!engine.ok()) return refused_while_reading(std::move(engine).failure(), before);
  Status refitted = runtime.refit(subject_, *engine.value(), weights, request.verify);
  if (!refitted.ok()) return std::move(refitted).failure();
  if (cache) {
    cache->keep(*engine.value());
    refit_cache_misses_ = cache->misses();
  }
  return engine;
}

Status TensorRTEngine::take(std::shared_ptr<SharedPlan> plan, const OpenRequest& request) {
  plan_ = std::move(plan);
  plan_->sharers().join(this);
  if (request.share_activation_memory) block_ = ActivationBlock::of(request.program, device_);
  auto io = read_io(subject_, plan_->engine(), request.metadata, plan_->library());
  if (!io.ok()) return std::move(io).failure();
  io_ = std::move(io).value();
  auto execution = Execution::create(subject_, device_, io_, request.cuda_graph, request.margin);
  if (!execution.ok()) return std::move(execution).failure();
  execution_ = std::move(execution).value();
  return ok_status();
}

Result<std::unique_ptr<Engine>> TensorRTEngine::share(Payload&, const OpenRequest& request) const {
  if (plan_->refits().changed()) return std::unique_ptr<Engine>();  // its bytes are no longer what it computes
  std::unique_ptr<TensorRTEngine> engine(new TensorRTEngine("engine '" + request.name + "'", device_));
  const DeviceGuard guard(device_);
  Status step = guard.check(engine->subject_);
  if (step.ok()) step = check_platform(engine->subject_, request.metadata.target_platform);
  if (step.ok()) step = engine->take(plan_, request);
  if (!step.ok()) return std::move(step).failure();
  return std::unique_ptr<Engine>(std::move(engine));
}

TensorRTEngine::~TensorRTEngine() {
  if (plan_ == nullptr) return;  // there may be no such device
  const DeviceGuard guard(device_);
  drop_context();
  execution_.reset();
  block_.reset();
  plan_->sharers().leave(this);
  plan_.reset();
}

Result<int64_t> TensorRTEngine::automatic_budget() const {
  const DeviceGuard guard(device_);
  Status current = guard.check(subject_);
  if (!current.ok()) return std::move(current).failure();
  return plan_->budget().automatic(plan_->sharers().holder(this));
}

int64_t TensorRTEngine::scratch_bytes() const {
  const DeviceGuard guard(device_);
  const bool may_probe = !plan_->sharers().any_context() && guard.error() == cudaSuccess;
  return plan_->budget().scratch(may_probe);
}

int64_t TensorRTEngine::device_bytes() const {
  Holder holder = plan_->sharers().holder(this);
  holder.weights = plan_->sharers().reports_weights(this);
  int64_t bytes = execution_->device_bytes();
  if (block_ != nullptr && holder.context) {
    bytes += (block_->is_counted_by(this) ? block_->size() : 0) - plan_->budget().context_now();
  }
  return bytes + plan_->budget().device_bytes(holder);
}

MemoryFacts TensorRTEngine::memory() const {
  const DeviceGuard guard(device_);
  return memory_now();
}

MemoryFacts TensorRTEngine::memory_now() const {
  const Holder holder = plan_->sharers().holder(this);
  MemoryFacts facts = plan_->budget().memory(holder);
  facts.staging = execution_->missing_bytes();
  if (block_ == nullptr) return facts;
  facts.in_block = true;
  facts.shared = block_->needed_by_others(this);
  if (!holder.context) return facts;
  facts.held_block = std::max<int64_t>(block_->size() - facts.shared, 0);
  for (int64_t* count : {&facts.free, &facts.held}) *count += facts.held_block - plan_->budget().context_now();
  return facts;
}

Status TensorRTEngine::set_budget(int64_t bytes) {
  if (plan_->sharers().any_context()) {  // TensorRT refuses it too, but not with what to do
    return Failure{ErrorCode::WrongState, subject_, "an execution context", "none while the budget changes",
                   "Drop the context first"};
  }
  const Range range("budget");
  const DeviceGuard guard(device_);
  Status current = guard.check(subject_);
  return current.ok() ? plan_->budget().set(bytes) : current;
}

Status TensorRTEngine::make_context() {
  if (has_context()) return ok_status();
  Status whole = plan_->refits().check_whole();
  if (!whole.ok()) return whole;
  const Range range("context");
  const DeviceGuard guard(device_);
  Status current = guard.check(subject_);
  if (current.ok()) current = execution_->reserve();
  if (!current.ok()) return current;
  if (block_ != nullptr) {
    Status had = block_->need(subject_, this, plan_->engine().getDeviceMemorySizeV2());
    if (!had.ok()) return had;
  }
  Status made = make_context_here();
  if (!made.ok() && block_ != nullptr) block_->need_nothing(this);
  return made;
}

Status TensorRTEngine::make_context_here() {
  const auto lock = lock_patiently(plan_->making_context());
  const auto start = std::chrono::steady_clock::now();
  auto context = tensorrt::make_context(subject_, plan_->engine(), plan_->cache(), memory_now(), plan_->budget().now());
  if (!context.ok()) return std::move(context).failure();
  context_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  save_cache();
  Status bounded = bound_outputs(subject_, *context.value(), execution_->own_stream(), io_);
  if (bounded.ok()) bounded = check_bounded_aliases(subject_, io_);
  if (!bounded.ok()) return bounded;
  execution_->attach(std::move(context).value(), block_);
  plan_->sharers().note_context(this, true);
  return ok_status();
}

/// making_context() is held.
void TensorRTEngine::save_cache() noexcept {
  // TensorRT-RTX does not say whether its cache may be read while contexts add to it.
  if (plan_->cache() != nullptr && !plan_->sharers().any_context()) plan_->cache()->save();
}

EngineCounters TensorRTEngine::counters() const noexcept {
  EngineCounters counters;
  counters.graph_hits = execution_->graph_hits();
  counters.context_seconds = context_seconds_;
  counters.cache_hits = refit_cache_hits_;
  counters.cache_misses = refit_cache_misses_;
  if (loaded_plan_ && plan_->cache() != nullptr) {
    counters.cache_hits += plan_->cache()->hits();
    counters.cache_misses += plan_->cache()->misses();
  }
  return counters;
}

void TensorRTEngine::drop_context() noexcept {
  if (execution_ == nullptr) return;
  const DeviceGuard guard(device_);
  const bool had_one = execution_->has_context();
  execution_->detach();
  plan_->sharers().note_context(this, false);
  if (had_one && plan_->cache() != nullptr) {
    const auto lock = lock_patiently(plan_->making_context());
    save_cache();
  }
  if (block_ != nullptr) block_->need_nothing(this);
}

void TensorRTEngine::release_staging() noexcept {
  if (execution_ == nullptr) return;
  const DeviceGuard guard(device_);
  execution_->release_staging();
}

Status TensorRTEngine::reset_state() {
  const DeviceGuard guard(device_);
  Status current = guard.check(subject_);
  return current.ok() ? execution_->reset_state() : current;
}

Result<UndoRefit> TensorRTEngine::refit(const std::vector<NewWeight>& weights) {
  if (plan_->sharers().any_context()) {
    return Failure{ErrorCode::WrongState, subject_, "an execution context", "none while the weights change",
                   "Drop the context first"};
  }
  const Range range("refit");
  const DeviceGuard guard(device_);
  Status current = guard.check(subject_);
  if (!current.ok()) return std::move(current).failure();
  const int64_t budget = plan_->budget().now();
  auto refitted = plan_->refits().refit(weights);
  if (plan_->budget().now() == budget) return refitted;
  Status kept = plan_->budget().set(budget);
  if (kept.ok() || !refitted.ok()) return refitted;
  (void)refitted.value()();  // where that fails, no context is made
  return std::move(kept).failure();
}

Status TensorRTEngine::run(const std::vector<TensorView>& inputs, OutputSink& outputs) {
  if (!has_context()) {
    return Failure{ErrorCode::WrongState, subject_, "no execution context", "make_context() before a run",
                   "Make the context; after a change of budget that failed, choose a smaller one"};
  }
  const Range range("run");
  const DeviceGuard guard(device_);
  Status current = guard.check(subject_);
  return current.ok() ? execution_->run(inputs, outputs) : current;
}

}  // namespace torchtrt_ws::tensorrt
