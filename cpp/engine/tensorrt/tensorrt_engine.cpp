#include "engine/tensorrt/tensorrt_engine.h"

#include <algorithm>
#include <utility>

#include "engine/log.h"
#include "engine/tensorrt/context.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/plan.h"

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
  auto runtime = Runtime::shared(subject_, product_of(payload.data(), payload.size()), device_);
  if (!runtime.ok()) return std::move(runtime).failure();
  runtime_ = std::move(runtime).value();
  Verification verification(request.verify, request.metadata, subject_);
  if (!verification.note().empty()) log_info(verification.note());
  const cudaError_t before = cudaPeekAtLastError();
  auto engine = runtime_->deserialize(subject_, std::move(payload), verification);
  if (!engine.ok()) return refused_while_reading(std::move(engine).failure(), before);
  engine_ = std::move(engine).value();
  auto io = read_io(subject_, *engine_, request.metadata, runtime_->library());
  if (!io.ok()) return std::move(io).failure();
  io_ = std::move(io).value();
  budget_ = std::make_unique<WeightBudget>(subject_, *engine_, runtime_->library());
  auto execution = Execution::create(subject_, device_, io_, request.cuda_graph);
  if (!execution.ok()) return std::move(execution).failure();
  execution_ = std::move(execution).value();
  return ok_status();
}

TensorRTEngine::~TensorRTEngine() {
  if (runtime_ == nullptr) return;  // there may be no such device
  const DeviceGuard guard(device_);
  execution_.reset();
  budget_.reset();
  engine_.reset();
  runtime_.reset();
}

Result<int64_t> TensorRTEngine::automatic_budget() const {
  const DeviceGuard guard(device_);
  Status current = guard.check(subject_);
  if (!current.ok()) return std::move(current).failure();
  return budget_->automatic(has_context());
}

int64_t TensorRTEngine::scratch_bytes() const {
  const DeviceGuard guard(device_);
  const bool may_probe = !has_context() && guard.error() == cudaSuccess;
  return budget_->scratch(may_probe);
}

int64_t TensorRTEngine::device_bytes() const {
  return budget_->device_bytes(has_context()) + execution_->staging_bytes();
}

MemoryFacts TensorRTEngine::memory() const {
  const DeviceGuard guard(device_);
  return memory_now();
}

MemoryFacts TensorRTEngine::memory_now() const {
  const int64_t staging = std::max<int64_t>(most_staged(io_) - execution_->staging_bytes(), 0);
  return budget_->memory(has_context(), staging);
}

Status TensorRTEngine::set_budget(int64_t bytes) {
  if (has_context()) {  // TensorRT refuses it too, but not with what to do
    return Failure{ErrorCode::WrongState, subject_, "an execution context", "none while the budget changes",
                   "Drop the context first"};
  }
  const DeviceGuard guard(device_);
  Status current = guard.check(subject_);
  return current.ok() ? budget_->set(bytes) : current;
}

Status TensorRTEngine::make_context() {
  if (has_context()) return ok_status();
  const DeviceGuard guard(device_);
  Status current = guard.check(subject_);
  if (!current.ok()) return current;
  auto context = tensorrt::make_context(subject_, *engine_, memory_now(), budget_->now());
  if (!context.ok()) return std::move(context).failure();
  Status bounded = bound_outputs(subject_, *context.value(), io_);
  if (!bounded.ok()) return bounded;
  execution_->attach(std::move(context).value());
  return ok_status();
}

void TensorRTEngine::drop_context() noexcept {
  if (execution_ == nullptr) return;
  const DeviceGuard guard(device_);
  execution_->detach();
}

Status TensorRTEngine::run(const std::vector<TensorView>& inputs, OutputSink& outputs) {
  if (!has_context()) {
    return Failure{ErrorCode::WrongState, subject_, "no execution context", "make_context() before a run",
                   "Make the context; after a change of budget that failed, choose a smaller one"};
  }
  const DeviceGuard guard(device_);
  Status current = guard.check(subject_);
  return current.ok() ? execution_->run(inputs, outputs) : current;
}

}  // namespace torchtrt_ws::tensorrt
