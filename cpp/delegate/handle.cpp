#include "delegate/handle.h"

#include <utility>

#include "delegate/arguments.h"
#include "delegate/error.h"

namespace torchtrt_ws {
namespace {

using executorch::runtime::EValue;
using executorch::runtime::Span;

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
  const auto start = std::chrono::steady_clock::now();
  if (!engine_->has_context()) {  // a change of budget failed, and so did going back: there may be room by now
    Status made = engine_->make_context();
    if (!made.ok()) return made;
  }
  Status checked = check_inputs(*engine_, args, inputs_);
  if (!checked.ok()) return checked;
  OutputArguments outputs(*engine_, args);
  Status ran = engine_->run(inputs_, outputs);
  if (!ran.ok()) return ran;
  ++runs_;
  seconds_ += std::chrono::steady_clock::now() - start;
  return ran;
}

Result<std::optional<Handle::Previous>> Handle::change_budget(const Request& request) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (engine_ == nullptr || asks_nothing(request)) return std::optional<Previous>();
  const Previous previous{engine_->budget(), source_};
  engine_->drop_context();
  auto applied = apply_budget(*engine_, request, shares_, identity_.name);
  if (!applied.ok()) {
    restore_locked(previous);
    return std::move(applied).failure();
  }
  source_ = applied.value().source;
  log_notes(identity_.name, applied.value().notes);
  return std::optional<Previous>(previous);
}

void Handle::undo_change(const Previous& previous) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (engine_ == nullptr) return;
  engine_->drop_context();
  restore_locked(previous);
}

void Handle::restore_locked(const Previous& previous) {
  source_ = previous.source;
  Status restored = engine_->streamable_bytes() > 0 ? engine_->set_budget(previous.budget) : ok_status();
  if (restored.ok()) restored = engine_->make_context();
  if (restored.ok()) return;
  log_notes(identity_.name, {"warning: the old budget could not be put back: " + restored.failure().message()});
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
  report.seconds = seconds_.count();
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
