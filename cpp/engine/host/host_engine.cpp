#include "engine/host/host_engine.h"

#include <fcntl.h>
#include <malloc.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/file_mapping.h"
#include "digest/sha256.h"
#include "engine/compare_payload.h"
#include "engine/dtype.h"
#include "engine/host/mapping.h"
#include "engine/log.h"
#include "engine/python_lock.h"

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

}  // namespace

Result<std::unique_ptr<Engine>> HostEngine::open(Payload payload, const OpenRequest& request) {
  std::unique_ptr<HostEngine> engine(new HostEngine(std::move(payload)));
  Status loaded = engine->load(request);
  if (!loaded.ok()) return std::move(loaded).failure();
  return std::unique_ptr<Engine>(std::move(engine));
}

HostEngine::~HostEngine() {
  const auto lock = lock_patiently(loading());
  program_.reset();
}

Status HostEngine::load(const OpenRequest& request) {
  const std::string subject = "engine '" + request.name + "'";
  const Verification verification(request.verify, request.metadata, subject);
  if (!verification.note().empty()) log_info(verification.note());
  Status verified = compare_payload(verification, payload_.data(), payload_.size());
  if (!verified.ok()) return verified;
  Status streamable = load_streamable(request);
  if (!streamable.ok() && streamable.failure().code != ErrorCode::NotSupported) return streamable;
  if (!streamable.ok()) {
    log_info("warning: " + subject + " cannot stream its weights: " + streamable.failure().message());
  }
  if (!program_) {
    packed_.reset();
    auto program = NestedProgram::load(payload_.data(), payload_.size(), "");
    if (!program.ok()) return std::move(program).failure();
    program_.emplace(std::move(program).value());
  }
  give_back_what_was_read();
  return read_io(request.metadata);
}

Status HostEngine::load_streamable(const OpenRequest& request) {
  const auto& own = request.metadata.own;
  // The digest is computed where the checksum has not vouched for the file, and always before weights are packed.
  const bool vouched = own && own->crc32c && request.verify != Verify::Off;
  const std::string digest = vouched ? own->sha256 : sha256_hex(payload_.data(), payload_.size());
  const auto confirm = [&]() -> Status {
    if (!vouched) return ok_status();
    const Verification verification(Verify::Digest, request.metadata, "engine '" + request.name + "'");
    return compare_payload(verification, payload_.data(), payload_.size());
  };
  const PackedEngine engine{digest, confirm, static_cast<int64_t>(payload_.size()),
                            own ? own->streamable_bytes.value_or(0) : 0};
  const auto lock = lock_patiently(loading());
  std::vector<Range> before;  // mappings that other engines have of the same file
  const auto load = [&](const std::string& path) -> Status {
    before = mappings_behind(path);
    auto program = NestedProgram::load(payload_.data(), payload_.size(), path);
    if (!program.ok()) return std::move(program).failure();
    program_.emplace(std::move(program).value());
    return ok_status();
  };
  bool packed_now = false;
  auto packed = PackedFile::open(engine, load, [&] {
    program_.reset();
    packed_now = true;
  });
  if (!packed.ok()) return std::move(packed).failure();
  if (packed_now) malloc_trim(0);
  if (packed.value().weight_bytes() == 0) return ok_status();  // nothing that XNNPACK packs
  packed_.emplace(std::move(packed).value());
  // XNNPACK tells nobody where it mapped the file.
  for (const Range& range : mappings_of(packed_->descriptor())) {
    if (std::find(before.begin(), before.end(), range) != before.end()) continue;
    residency_.emplace_back(range);
  }
  if (!residency_.empty()) return ok_status();
  program_.reset();
  return Failure{ErrorCode::NotSupported, packed_->path(), "no mapping of it in this process",
                 "packed weights that XNNPACK maps", "The engine runs with all weights on the heap"};
}

void HostEngine::give_back_what_was_read() {
  if (is_file_mapping(payload_.data(), payload_.size())) drop_pages(payload_.data(), 0, payload_.size());
}

Status HostEngine::read_io(const Metadata& metadata) {
  auto inputs = program_->inputs();
  if (!inputs.ok()) return std::move(inputs).failure();
  auto outputs = program_->outputs();
  if (!outputs.ok()) return std::move(outputs).failure();
  inputs_ = std::move(inputs).value();
  outputs_ = std::move(outputs).value();
  if (!metadata.own) return ok_status();
  Status described = describe(inputs_, metadata.own->inputs);
  return described.ok() ? describe(outputs_, metadata.own->outputs) : described;
}

int64_t HostEngine::budget() const {
  if (residency_.empty()) return 0;
  const auto least = std::min_element(residency_.begin(), residency_.end(),
                                      [](const Residency& a, const Residency& b) { return a.kept() < b.kept(); });
  return std::min(least->kept(), streamable_bytes());
}

Result<int64_t> HostEngine::automatic_budget() const {
  return std::clamp<int64_t>(memory().free, 0, streamable_bytes());
}

int64_t HostEngine::device_bytes() const {
  int64_t resident = 0;
  for (const Residency& part : residency_) resident += part.resident();
  return resident;
}

MemoryFacts HostEngine::memory() const {
  const int64_t held = budget();  // what is locked is available to nobody else
  return {available_memory() + held, 0, 0, streamable_bytes(), held};
}

Status HostEngine::set_budget(int64_t bytes) {
  if (has_context_) {
    return Failure{ErrorCode::WrongState, "budget", "an execution context", "none while the budget changes",
                   "Drop the context first"};
  }
  const int64_t kept = std::clamp<int64_t>(bytes, 0, streamable_bytes());
  const auto lock = lock_patiently(loading());
  for (Residency& mapping : residency_) mapping.keep(kept, streamable_bytes());
  return ok_status();
}

Status HostEngine::run(const std::vector<TensorView>& inputs, OutputSink& outputs) {
  Status ran = program_->run(inputs, outputs);
  if (budget() < streamable_bytes()) {
    for (Residency& part : residency_) part.drop_rest();
  }
  return ran;
}

}  // namespace torchtrt_ws::host
