#include "engine/tensorrt/execution.h"

#include <utility>

#include "base/quote.h"
#include "engine/caller_stream.h"
#include "engine/tensorrt/caller_capture.h"
#include "engine/tensorrt/logger.h"
#include "engine/tensorrt/traced.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {

Execution::Execution(std::string subject, const Io& io, Placer placer, GraphUse cuda_graph, int64_t margin)
    : subject_(std::move(subject)),
      io_(io),
      placer_(placer),
      shapes_(subject_, io),
      values_(subject_, io),
      data_outputs_(subject_, io),
      state_(subject_, io),
      graph_(subject_, cuda_graph, margin),
      nothing_(Buffer::Kind::Device),
      inputs_(io.inputs.size()),
      outputs_(io.outputs.size()) {}

Result<std::unique_ptr<Execution>> Execution::create(const std::string& subject, int device, const Io& io,
                                                     GraphUse cuda_graph, int64_t margin) {
  Result<Placer> placer = Placer::of(subject, device);
  if (!placer.ok()) return std::move(placer).failure();
  std::unique_ptr<Execution> made(new Execution(subject, io, placer.value(), cuda_graph, margin));
  Status step = check_cuda(subject, "cudaStreamCreateWithFlags",
                           cudaStreamCreateWithFlags(made->stream_.out(), cudaStreamDefault));
  if (step.ok()) {
    step = check_cuda(subject, "cudaEventCreateWithFlags",
                      cudaEventCreateWithFlags(made->done_.out(), cudaEventDisableTiming));
  }
  if (step.ok()) step = made->staging_.create(subject);
  if (step.ok()) step = made->nothing_.reserve(subject, kAddressAlignment);
  if (!step.ok()) return std::move(step).failure();
  return made;
}

Execution::~Execution() { detach(); }

void Execution::attach(Context context, std::shared_ptr<ActivationBlock> block) {
  detach();
  context_ = std::move(context);
  profile_ = 0;
  block_ = std::move(block);
}

void Execution::detach() noexcept {
  if (in_flight_) ignore(cudaEventSynchronize(done_.get()));
  in_flight_ = false;
  forget_bindings();
  graph_.restart();
  context_.reset();
  block_.reset();
  block_generation_.reset();
}

void Execution::forget_bindings() noexcept {
  graph_.forget();
  shapes_.forget();
  values_.forget();
  data_outputs_.forget();
  state_.forget();
  for (std::vector<Slot>* slots : {&inputs_, &outputs_}) {
    for (Slot& slot : *slots) slot.address = nullptr;
  }
}

Status Execution::run(const std::vector<TensorView>& inputs, OutputSink& outputs) {
  const std::optional<CallerStream> callers = caller_stream();
  const cudaStream_t stream = callers ? static_cast<cudaStream_t>(callers->stream) : stream_.get();
  if (callers && is_capturing(stream)) return run_into_capture(inputs, outputs, stream);
  Status step = prepare(inputs, outputs, stream);
  if (!step.ok()) {  // no run was enqueued, but TensorRT may have taken some of the shapes and addresses
    (void)wait_in_flight();
    forget_bindings();
    return step;
  }
  step = block_ == nullptr ? enqueue(stream) : enqueue_in_block(stream);
  if (step.ok() && data_outputs_.any()) step = data_outputs_.hand_over(outputs, stream);
  if (step.ok()) step = finish(stream, callers && callers->may_return_early);
  if (!step.ok()) drain(stream);
  return step;
}

Status Execution::prepare(const std::vector<TensorView>& inputs, OutputSink& outputs, cudaStream_t stream) {
  for (size_t i = 0; i < inputs.size(); ++i) inputs_[i].view = inputs[i];
  Status step = values_.read(inputs, stream);
  const bool changes = step.ok() && (shapes_.would_change(inputs) || values_.would_change());
  if (changes) step = leave_old_shapes(inputs, stream);
  if (step.ok()) step = tell_shapes(inputs);
  if (step.ok()) step = take_outputs(outputs);
  if (step.ok()) step = place_all();
  if (step.ok()) step = bind_all();
  if (step.ok()) step = state_.bind(*context_);
  if (step.ok() && data_outputs_.any()) step = data_outputs_.begin(*context_);
  return step;
}

Status Execution::tell_shapes(const std::vector<TensorView>& inputs) {
  if (values_.would_change()) {
    shapes_.forget_outputs();
    Status told = values_.overwrites() ? wait_in_flight() : ok_status();
    if (told.ok()) told = values_.tell(*context_);
    if (!told.ok()) return told;
  }
  return shapes_.set(*context_, inputs);
}

/// Ends what holds for the shapes of the call before only: its graph, and its profile where that does not hold these.
Status Execution::leave_old_shapes(const std::vector<TensorView>& inputs, cudaStream_t stream) {
  Status left = leave_graph();
  if (!left.ok()) return left;
  // TensorRT looks at values only while it runs, and then says little; of one profile it tells itself what is wrong.
  return io_.profiles.count() > 1 || !io_.shape_inputs.empty() ? use_profile_for(inputs, stream) : ok_status();
}

Status Execution::use_profile_for(const std::vector<TensorView>& inputs, cudaStream_t stream) {
  asked_.clear();
  for (const TensorView& input : inputs) asked_.push_back({input.sizes, input.rank});
  values_.append_to(asked_);
  const Result<size_t> chosen = io_.profiles.choose(subject_, asked_, profile_);
  if (!chosen.ok()) return chosen.failure();
  return chosen.value() == profile_ ? ok_status() : switch_profile(chosen.value(), stream);
}

/// Copies may be enqueued on `stream` for it. They come after the runs before, and the next run after them, on whatever
/// stream that is (NvInferRuntime.h, setOptimizationProfileAsync).
Status Execution::switch_profile(size_t profile, cudaStream_t stream) {
  if (in_flight_) {
    Status ordered = check_cuda(subject_, "cudaStreamWaitEvent", cudaStreamWaitEvent(stream, done_.get(), 0));
    if (!ordered.ok()) return ordered;
  }
  forget_bindings();  // all of them have to be told again
  profile_.reset();
  const ErrorScope errors;
  const bool switched = context_->setOptimizationProfileAsync(static_cast<int32_t>(profile), stream);
  Status step = switched ? check_cuda(subject_, "cudaEventRecord", cudaEventRecord(done_.get(), stream))
                         : refused_call(subject_, "setOptimizationProfileAsync", {}, errors.words());
  if (!step.ok()) {
    drain(stream);
    return step;
  }
  in_flight_ = true;
  profile_ = profile;
  return ok_status();
}

Status Execution::take_outputs(OutputSink& sink) {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (io_.outputs[i].data_dependent) continue;  // once it has run
    const Shapes::Output& output = shapes_.output(i);
    Result<TensorView> view = sink.resize(i, output.sizes.data(), output.rank);
    if (!view.ok()) return std::move(view).failure();
    outputs_[i].view = view.value();
    if (view.value().nbytes == output.nbytes) continue;
    return Failure{ErrorCode::BadArgument, "output " + in_quotes(io_.outputs[i].name),
                   std::to_string(view.value().nbytes) + " bytes", std::to_string(output.nbytes) + " bytes",
                   "Give the output the dtype and shape that the engine has"};
  }
  return ok_status();
}

Status Execution::place(const IoTensor& tensor, Slot& slot) const {
  slot.place = Place::Bound;
  if (slot.view.nbytes == 0 || tensor.holds_shapes || tensor.data_dependent) return ok_status();
  if (slot.view.data == nullptr) {
    return Failure{ErrorCode::BadArgument, "tensor " + in_quotes(tensor.name), "no memory",
                   std::to_string(slot.view.nbytes) + " bytes", "Set the tensor's data before the call"};
  }
  Result<Place> place = placer_(tensor.name, slot.view.data);
  if (!place.ok()) return std::move(place).failure();
  slot.place = place.value();
  return ok_status();
}

void Execution::stage(Place which, bool is_input, std::vector<Slot>& slots) {
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot& slot = slots[i];
    const bool aliased = !is_input && io_.aliased_inputs[i].has_value();  // lives where its input does
    if (slot.place == which && !aliased) slot.staged = staging_.add(which, is_input, slot.view.data, slot.view.nbytes);
  }
}

Status Execution::place_all() {
  Status placed = ok_status();
  for (size_t i = 0; placed.ok() && i < inputs_.size(); ++i) placed = place(io_.inputs[i], inputs_[i]);
  for (size_t i = 0; placed.ok() && i < outputs_.size(); ++i) placed = place(io_.outputs[i], outputs_[i]);
  if (!placed.ok()) return placed;
  staging_.begin();
  for (const Place which : {Place::HostStaged, Place::DeviceStaged}) {
    stage(which, true, inputs_);
    stage(which, false, outputs_);
  }
  if (!staging_.must_grow()) return ok_status();
  Status waited = wait_in_flight();  // it may use the memory that goes
  return waited.ok() ? staging_.reserve(subject_) : waited;
}

void* Execution::address_of(const Slot& slot) const noexcept {
  if (slot.view.nbytes == 0) return nothing_.data();
  return is_staged(slot.place) ? staging_.address(slot.staged) : slot.view.data;
}

Status Execution::bind_all() {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (io_.inputs[i].holds_shapes) continue;  // values_ has
    Status bound = bind(io_.inputs[i], inputs_[i], address_of(inputs_[i]));
    if (!bound.ok()) return bound;
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (io_.outputs[i].data_dependent) continue;  // TensorRT asks data_outputs_
    const auto aliased = io_.aliased_inputs[i];
    Status bound = bind(io_.outputs[i], outputs_[i], address_of(aliased ? inputs_[*aliased] : outputs_[i]));
    if (!bound.ok()) return bound;
  }
  plan_copies_back();
  const Crossings crossings = staging_.crossings();
  if (crossings == crossings_) return ok_status();
  Status left = leave_graph();
  crossings_ = crossings;
  return left;
}

/// What the next run does is not what the run before did.
Status Execution::leave_graph() {
  Status waited = graph_.is_captured() ? wait_in_flight() : ok_status();
  if (waited.ok()) graph_.forget();
  return waited;
}

Status Execution::bind(const IoTensor& tensor, Slot& slot, void* address) {
  if (slot.address == address) return ok_status();
  Status left = leave_graph();
  if (!left.ok()) return left;
  const ErrorScope errors;
  if (!context_->setTensorAddress(tensor.name.c_str(), address)) {
    return refused_call(subject_, "setTensorAddress", tensor.name, errors.words());
  }
  slot.address = address;
  return ok_status();
}

void Execution::plan_copies_back() {
  copies_back_.clear();
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const auto aliased = io_.aliased_inputs[i];
    if (!aliased || outputs_[i].view.nbytes == 0) continue;
    const Slot& input = inputs_[*aliased];
    if (outputs_[i].view.data != input.view.data) {
      copies_back_.push_back({input.address, outputs_[i].view.data, outputs_[i].view.nbytes});
    }
    if (is_staged(input.place)) copies_back_.push_back({input.address, input.view.data, input.view.nbytes});
  }
}

Status Execution::enqueue(cudaStream_t stream) {
  cudaError_t error = cudaSuccess;
  if (in_flight_) error = cudaStreamWaitEvent(stream, done_.get(), 0);
  if (error != cudaSuccess) return cuda_failure(subject_, "cudaStreamWaitEvent", error);
  Status enqueued = enqueue_engine(stream);
  if (!enqueued.ok()) return enqueued;
  const char* call = "cudaMemcpyAsync";
  error = state_.carry_over(stream);
  if (error != cudaSuccess) return cuda_failure(subject_, call, error);
  for (const CopyBack& copy : copies_back_) {
    error = cudaMemcpyAsync(copy.to, copy.from, copy.nbytes, cudaMemcpyDefault, stream);
    if (error != cudaSuccess) return cuda_failure(subject_, call, error);
  }
  return check_cuda(subject_, call, staging_.download_device(stream));
}

/// The engine's work behind its inputs' copies; in a graph with those of host tensors, where they are few bytes.
Status Execution::enqueue_engine(cudaStream_t stream) {
  cudaError_t error = cudaSuccess;
  // What is only known while it runs cannot be captured.
  crossed_in_graph_ = !data_outputs_.any() && graph_.serves(*context_, crossings_);
  if (crossed_in_graph_) {
    const bool none_cross = crossings_ == Crossings{};
    {
      const Traced stage("copy in");
      error = none_cross ? staging_.upload(stream) : staging_.fill(stream);
    }
    if (error != cudaSuccess) return cuda_failure(subject_, "cudaMemcpyAsync", error);
    crossed_in_graph_ = !none_cross;
    const Traced stage("enqueue");
    error = graph_.launch(stream);
    if (error == cudaSuccess) return ok_status();
    crossed_in_graph_ = false;
    if (error != cudaErrorMemoryAllocation) return cuda_failure(subject_, "cudaGraphLaunch", error);
  }
  {
    const Traced stage("copy in");
    error = staging_.upload(stream);
  }
  if (error != cudaSuccess) return cuda_failure(subject_, "cudaMemcpyAsync", error);
  const Traced stage("enqueue");
  const ErrorScope errors;
  if (context_->enqueueV3(stream)) return ok_status();
  if (std::optional<Failure> refused = data_outputs_.refused()) return *std::move(refused);  // TensorRT says: no memory
  return refused_call(subject_, "enqueueV3", {}, errors.words());
}

Status Execution::enqueue_in_block(cudaStream_t stream) {
  auto turn = block_->take(subject_);
  if (!turn.ok()) return std::move(turn).failure();
  Status step = work_in(turn.value());
  if (step.ok()) step = check_cuda(subject_, "cudaStreamWaitEvent", turn.value().enter(stream));
  if (step.ok()) step = enqueue(stream);
  if (step.ok()) step = check_cuda(subject_, "cudaEventRecord", turn.value().leave(stream));
  if (!step.ok()) ignore(cudaStreamSynchronize(stream));  // before another engine may work there
  return step;
}

/// Tells the context where the block is, if it is somewhere else than in the run before.
Status Execution::work_in(const ActivationBlock::Turn& turn) {
  if (block_generation_ == turn.generation()) return ok_status();
  Status waited = wait_in_flight();
  if (!waited.ok()) return waited;
  graph_.forget();
  const ErrorScope errors;
  context_->setDeviceMemoryV2(turn.data(), turn.size());  // returns nothing
  if (const std::string words = errors.words(); !words.empty()) {
    return refused_call(subject_, "setDeviceMemoryV2", {}, words);
  }
  block_generation_ = turn.generation();
  return ok_status();
}

bool Execution::touches_host() const noexcept {
  for (const std::vector<Slot>* slots : {&inputs_, &outputs_}) {
    for (const Slot& slot : *slots) {
      if (slot.view.nbytes != 0 && is_on_host(slot.place)) return true;
    }
  }
  return false;
}

Status Execution::finish(cudaStream_t stream, bool may_return_early) {
  const Traced stage("copy out");
  note_event(nullptr);
  // ExecuTorch copies aliased outputs back on the host's side once we return.
  if (may_return_early && !touches_host() && !io_.has_aliases() && !data_outputs_.any()) {
    Status recorded = check_cuda(subject_, "cudaEventRecord", cudaEventRecord(done_.get(), stream));
    in_flight_ = recorded.ok();
    if (in_flight_) note_event(done_.get());
    return recorded;
  }
  in_flight_ = false;  // an earlier run was waited for on this stream
  return check_cuda(subject_, "the run, or copying its outputs to the host",
                    crossed_in_graph_ ? staging_.take_arrived(stream) : staging_.download_host(stream));
}

Status Execution::wait_in_flight() {
  if (!in_flight_) return ok_status();
  in_flight_ = false;
  return check_cuda(subject_, "cudaEventSynchronize", cudaEventSynchronize(done_.get()));
}

void Execution::drain(cudaStream_t stream) noexcept {
  ignore(cudaStreamSynchronize(stream));
  if (in_flight_) ignore(cudaEventSynchronize(done_.get()));
  in_flight_ = false;
  forget_bindings();
}

}  // namespace torchtrt_ws::tensorrt
