#include "delegate/handle.h"

#include <chrono>
#include <utility>

#include "delegate/arguments.h"
#include "delegate/error.h"

namespace torchtrt_ws {
namespace {

using executorch::runtime::EValue;
using executorch::runtime::Span;

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool asks_nothing(const Request& request) {
  return !request.engine && std::holds_alternative<std::monostate>(request.general);
}

Failure gone(const Identity& identity) {
  return {ErrorCode::WrongState, "engine '" + identity.name + "'", "a call after it was destroyed",
          "calls while its program is loaded", "Load the program again"};
}

}  // namespace

Handle::Handle(Identity identity, std::optional<Shares> shares, std::unique_ptr<Engine> engine, const Applied& applied)
    : identity_(std::move(identity)), shares_(shares), engine_(std::move(engine)), source_(applied.source) {}

Status Handle::execute(Span<EValue*> args) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (engine_ == nullptr) return gone(identity_);
  const int64_t start = now();
  if (!has_context_) {  // a change of budget failed, and so did going back: there may be room by now
    Status made = engine_->make_context();
    if (!made.ok()) return made;
    has_context_ = true;
  }
  Status checked = check_inputs(*engine_, args, inputs_);
  if (!checked.ok()) return checked;
  OutputArguments outputs(*engine_, args);
  Status ran = engine_->run(inputs_, outputs);
  if (!ran.ok()) return ran;
  ++runs_;
  nanoseconds_ += now() - start;
  return ran;
}

Result<std::optional<Handle::Previous>> Handle::change_budget(const Request& request) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (engine_ == nullptr || asks_nothing(request)) return std::optional<Previous>();
  const Previous previous{engine_->budget(), source_};
  engine_->drop_context();
  has_context_ = false;
  auto applied = apply_budget(*engine_, request, shares_, identity_.name);
  if (!applied.ok()) {
    Status restored = restore_locked(previous);
    if (!restored.ok())
      log_notes(identity_.name, {"warning: the old budget could not be put back: " + restored.failure().message()});
    return std::move(applied).failure();
  }
  has_context_ = true;
  source_ = applied.value().source;
  log_notes(identity_.name, applied.value().notes);
  return std::optional<Previous>(previous);
}

Status Handle::undo_change(const Previous& previous) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (engine_ == nullptr) return ok_status();
  engine_->drop_context();
  has_context_ = false;
  return restore_locked(previous);
}

Status Handle::restore_locked(const Previous& previous) {
  source_ = previous.source;
  if (engine_->streamable_bytes() > 0) {
    Status set = engine_->set_budget(previous.budget);
    if (!set.ok()) return set;
  }
  Status made = engine_->make_context();
  has_context_ = made.ok();
  return made;
}

EngineReport Handle::report() const {
  EngineReport report;
  report.id = identity_.id;
  report.name = identity_.name;
  report.method = identity_.method;
  report.kind = identity_.kind;
  std::lock_guard<std::mutex> lock(mutex_);
  report.source = source_name(source_);
  report.runs = runs_;
  report.seconds = static_cast<double>(nanoseconds_) * 1e-9;
  if (engine_ == nullptr) return report;
  report.streamable_bytes = engine_->streamable_bytes();
  report.budget_bytes = engine_->budget();
  report.scratch_bytes = engine_->scratch_bytes();
  report.device_bytes = engine_->device_bytes();
  return report;
}

void Handle::close() noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (engine_ != nullptr) engine_->drop_context();
  engine_.reset();
}

}  // namespace torchtrt_ws
