#include "engine/host/host_engine.h"

#include <fcntl.h>
#include <malloc.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <utility>

#include "base/file_mapping.h"
#include "digest/sha256.h"
#include "engine/compare_payload.h"
#include "engine/dtype.h"
#include "engine/host/mapping.h"
#include "engine/log.h"
#include "engine/python_lock.h"
#include "engine/stage.h"

namespace torchtrt_ws::host {
namespace {

/// The tensor as the metadata describes it, if the program agrees.
Result<TensorSpec> agreed(const TensorFacts& facts, const TensorSpec& declared) {
  const Dtype* dtype = find_dtype(facts.dtype);
  const bool fits = dtype != nullptr && dtype->type == declared.dtype && facts.min.size() == declared.max.size() &&
                    std::equal(facts.max.begin(), facts.max.end(), declared.max.begin(),
                               [](int64_t recorded, int64_t planned) { return recorded <= planned; });
  if (!fits) {
    return Failure{ErrorCode::BadEngine, "tensor '" + facts.name + "'", "metadata that its engine contradicts",
                   "the dtype and rank of the engine, within its bounds", "Save the program again"};
  }
  return TensorSpec{facts.name, declared.dtype, facts.min, facts.max};
}

Status describe(std::vector<TensorSpec>& declared, const std::vector<TensorFacts>& recorded) {
  if (declared.size() != recorded.size()) {
    return Failure{ErrorCode::BadEngine, "host engine", std::to_string(declared.size()) + " tensors",
                   std::to_string(recorded.size()) + ", as the metadata says", "Save the program again"};
  }
  for (size_t i = 0; i < declared.size(); ++i) {
    auto spec = agreed(recorded[i], declared[i]);
    if (!spec.ok()) return std::move(spec).failure();
    declared[i] = std::move(spec).value();
  }
  return ok_status();
}

/// Mappings of the file behind a path.
std::vector<Range> mappings_behind(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file ? mappings_of(file.get()) : std::vector<Range>();
}

/// Loading compares the mappings before and after, so one engine at a time loads, goes, or changes its budget (locking
/// pages splits a mapping).
std::mutex& loading() {
  static std::mutex mutex;
  return mutex;
}

/// A program loaded with `path`, and the mappings of the file there that it brought: XNNPACK tells nobody where it
/// maps.
Result<std::vector<Range>> new_mappings(const std::string& path, const std::function<Status()>& load) {
  const std::vector<Range> before = mappings_behind(path);  // of other programs
  Status loaded = load();
  if (!loaded.ok()) return std::move(loaded).failure();
  std::vector<Range> mappings = mappings_behind(path);
  const auto is_old = [&before](const Range& range) {
    return std::find(before.begin(), before.end(), range) != before.end();
  };
  mappings.erase(std::remove_if(mappings.begin(), mappings.end(), is_old), mappings.end());
  return mappings;
}

std::string method_of(const Metadata& metadata) { return metadata.own ? metadata.own->nested_method : "forward"; }

}  // namespace

Result<std::unique_ptr<Engine>> HostEngine::open(Payload payload, const OpenRequest& request) {
  std::unique_ptr<HostEngine> engine(
      new HostEngine(std::move(payload), std::make_shared<SharedWeights>(request.program)));
  Status loaded = engine->load(request);
  if (!loaded.ok()) return std::move(loaded).failure();
  return std::unique_ptr<Engine>(std::move(engine));
}

HostEngine::HostEngine(Payload payload, std::shared_ptr<SharedWeights> weights)
    : payload_(std::move(payload)), weights_(std::move(weights)) {
  weights_->sharers().join(this);
}

HostEngine::~HostEngine() {
  const auto lock = lock_patiently(loading());
  weights_->sharers().leave(this);
  if (program_ && weights_.use_count() > 1) weights_->keep(*std::move(program_));
  program_.reset();
  weights_.reset();
}

Result<std::unique_ptr<Engine>> HostEngine::share(Payload& payload, const OpenRequest& request) const {
  if (request.program == nullptr || request.program != weights_->program()) return std::unique_ptr<Engine>();
  std::unique_ptr<HostEngine> engine(new HostEngine(std::move(payload), weights_));
  Status joined = engine->join(request);
  if (!joined.ok()) return std::move(joined).failure();
  return std::unique_ptr<Engine>(std::move(engine));
}

Status HostEngine::open_weights(const OpenRequest& request) {
  const auto& own = request.metadata.own;
  if (!own || !own->weights) return ok_status();
  auto opened = NestedWeights::open("engine '" + request.name + "'", *own->weights, request.weights, request.verify);
  if (!opened.ok()) return std::move(opened).failure();
  separate_ = std::move(opened).value();
  return ok_status();
}

Status HostEngine::join(const OpenRequest& request) {
  Status opened = open_weights(request);
  if (!opened.ok()) return opened;
  {
    const auto lock = lock_patiently(loading());
    Status loaded = load_program(method_of(request.metadata), weights_->packed_cache_path());
    if (!loaded.ok()) return loaded;
    weights_->take_back_lock();
  }
  give_back_what_was_read();
  return read_io(request.metadata);
}

Status HostEngine::load_program(const std::string& method, const std::string& packed_cache_path) {
  const Stage stage("deserialize");
  auto program = NestedProgram::load(source(), method, packed_cache_path);
  if (!program.ok()) return std::move(program).failure();
  program_.emplace(std::move(program).value());
  return ok_status();
}

Status HostEngine::load(const OpenRequest& request) {
  const std::string subject = "engine '" + request.name + "'";
  const Verification verification(request.verify, request.metadata, subject);
  if (!verification.note().empty()) log_info(verification.note());
  if (verification.compares()) {
    const Stage stage("verify");
    Status verified = compare_payload(verification, payload_.data(), payload_.size());
    if (!verified.ok()) return verified;
  }
  Status opened = open_weights(request);
  if (!opened.ok()) return opened;
  Status streamable = load_streamable(request);
  if (!streamable.ok() && streamable.failure().code != ErrorCode::NotSupported) return streamable;
  if (!streamable.ok()) {
    log_info("warning: " + subject +
             " cannot stream its weights, which are all on the heap: " + streamable.failure().message());
  }
  if (!program_) {
    Status loaded = load_program(method_of(request.metadata), "");
    if (!loaded.ok()) return loaded;
  }
  give_back_what_was_read();
  return read_io(request.metadata);
}

Status HostEngine::load_streamable(const OpenRequest& request) {
  const auto& own = request.metadata.own;
  // The digest is computed where the checksum has not vouched for the file, and always before weights are packed.
  const bool vouched = own && own->crc32c && request.verify != Verify::Off;
  std::string digest = vouched ? own->sha256 : sha256_hex(payload_.data(), payload_.size());
  int64_t bytes = static_cast<int64_t>(payload_.size());
  if (separate_ != nullptr) {  // two programs with one nested program and other weights are two engines
    digest += vouched ? digest_of(*own->weights) : separate_->weights().digest();
    digest = sha256_hex(digest.data(), digest.size());
    bytes += static_cast<int64_t>(separate_->weights().bytes());
  }
  const auto confirm = [&]() -> Status {
    if (!vouched) return ok_status();
    const Verification verification(Verify::Digest, request.metadata, "engine '" + request.name + "'");
    Status same = compare_payload(verification, payload_.data(), payload_.size());
    return same.ok() && separate_ != nullptr ? separate_->weights().compare(Verify::Digest) : same;
  };
  const PackedEngine engine{digest, confirm, bytes, own ? own->streamable_bytes.value_or(0) : 0};
  const std::string method = method_of(request.metadata);
  const auto lock = lock_patiently(loading());
  std::vector<Range> mappings;
  const auto pack = [&](const std::string& path) -> Status {
    const Stage stage("pack");
    Status packed = NestedProgram::pack(source(), path);
    malloc_trim(0);
    return packed;
  };
  const auto load = [&](const std::string& path) -> Status {
    auto found = new_mappings(path, [&] { return load_program(method, path); });
    if (!found.ok()) return std::move(found).failure();
    mappings = std::move(found).value();
    return mappings.empty() ? load_another(path, mappings) : ok_status();
  };
  auto packed = PackedFile::open(engine, pack, load);
  if (!packed.ok()) {
    program_.reset();
    return std::move(packed).failure();
  }
  if (packed.value().weight_bytes() == 0) return ok_status();  // nothing that XNNPACK packs
  ++(packed.value().was_built() ? counters_.cache_misses : counters_.cache_hits);
  if (!mappings.empty()) {
    weights_->set_packed(std::move(packed).value(), mappings);
    return ok_status();
  }
  program_.reset();
  return Failure{ErrorCode::NotSupported, packed.value().path(), "no mapping of it in this process",
                 "packed weights that XNNPACK maps", "The engine runs with all weights on the heap"};
}

/// The engine's own method has none of the packed weights: another one maps the file, and stays for those to come.
Status HostEngine::load_another(const std::string& path, std::vector<Range>& mappings) {
  auto methods = NestedProgram::methods(source());
  if (!methods.ok()) return std::move(methods).failure();
  for (const std::string& method : methods.value()) {
    auto found = new_mappings(path, [&]() -> Status {
      auto program = NestedProgram::load(source(), method, path);
      if (!program.ok()) return std::move(program).failure();
      weights_->keep(std::move(program).value());
      return ok_status();
    });
    if (!found.ok()) return std::move(found).failure();
    mappings = std::move(found).value();
    if (!mappings.empty()) return ok_status();
    weights_->keep_nothing();
  }
  return ok_status();
}

void HostEngine::give_back_what_was_read() {
  if (separate_ != nullptr) separate_->drop_pages();
  if (is_file_mapping(payload_.data(), payload_.size())) drop_pages(payload_.data(), 0, payload_.size());
}

Status HostEngine::read_io(const Metadata& metadata) {
  auto inputs = program_->inputs();
  if (!inputs.ok()) return std::move(inputs).failure();
  auto outputs = program_->outputs();
  if (!outputs.ok()) return std::move(outputs).failure();
  if (metadata.own && metadata.own->keeps_state) state_of_ = method_of(metadata);
  inputs_ = std::move(inputs).value();
  outputs_ = std::move(outputs).value();
  if (!metadata.own) return ok_status();
  Status described = describe(inputs_, metadata.own->inputs);
  return described.ok() ? describe(outputs_, metadata.own->outputs) : described;
}

Result<int64_t> HostEngine::automatic_budget() const {
  return std::clamp<int64_t>(memory().free, 0, streamable_bytes());
}

int64_t HostEngine::device_bytes() const {
  return weights_->sharers().holder(this).weights ? weights_->resident_bytes() : 0;
}

MemoryFacts HostEngine::memory() const {
  if (!weights_->sharers().holder(this).weights) return {available_memory(), 0, 0, 0, 0};
  const int64_t held = budget();  // what is locked is available to nobody else
  return {available_memory() + held, 0, 0, streamable_bytes(), held};
}

Status HostEngine::set_budget(int64_t bytes) {
  if (weights_->sharers().any_context()) {
    return Failure{ErrorCode::WrongState, "budget", "an execution context", "none while the budget changes",
                   "Drop the context first"};
  }
  const auto lock = lock_patiently(loading());
  weights_->set_budget(bytes);
  return ok_status();
}

Status HostEngine::make_context() {
  has_context_ = true;
  weights_->sharers().note_context(this, true);
  return ok_status();
}

void HostEngine::drop_context() noexcept {
  has_context_ = false;
  weights_->sharers().note_context(this, false);
}

/// ExecuTorch sets buffers to what the program says while it loads the method.
Result<std::vector<RefittableWeight>> HostEngine::refittable_weights() const {
  return Failure{ErrorCode::NotSupported, "engine",
                 "a host engine, whose weights XNNPACK has packed when it was loaded",
                 "an engine that takes other weights: a tensorrt one that was built with REFIT",
                 "Save the program again with the new weights"};
}

Status HostEngine::reset_state() {
  if (state_of_.empty()) return ok_status();
  const auto lock = lock_patiently(loading());
  Status loaded = load_program(state_of_, weights_->packed_cache_path());  // the old one stays until it is there
  if (loaded.ok()) weights_->take_back_lock();
  return loaded;
}

Status HostEngine::run(const std::vector<TensorView>& inputs, OutputSink& outputs) {
  Status ran = [&] {
    const Stage stage("execute");
    return program_->run(inputs, outputs);
  }();
  const Stage stage("page out");
  weights_->drop_rest();
  return ran;
}

}  // namespace torchtrt_ws::host
