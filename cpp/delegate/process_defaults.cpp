#include "delegate/process_defaults.h"

#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>

#include "budget/written.h"
#include "delegate/error.h"
#include "torchtrt_ws/defaults.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

struct Guarded {
  std::mutex mutex;
  Defaults defaults;
};

Guarded& guarded_defaults() {
  static auto* guarded = new Guarded;  // leaked: loads may come during static destruction
  return *guarded;
}

Failure of_one_load(const Option& option, const char* next_step) {
  return Failure{ErrorCode::BadOption, option.key, "it among the options of a process", "it when a program is loaded",
                 next_step};
}

struct Read {
  Defaults defaults;
  std::vector<std::string> notes;
};

/// `options` in place of what `before` says of the same.
Result<Read> read_over(const Defaults& before, const std::vector<Option>& options) {
  auto request = read_request(options, {}, "");
  if (!request.ok()) return std::move(request).failure();
  auto open = read_open_options(options, before.open);
  if (!open.ok()) return std::move(open).failure();
  Read read{before, std::move(request.value().notes)};
  read.defaults.open = open.value();
  for (const Option& option : options) {
    if (option.key == kContextsKey) return of_one_load(option, "Leave it out");
    if (is_general_budget(option.key)) read.defaults.budget = request.value().general;
    if (option.key == kMarginKey) read.defaults.margin = request.value().margin;
  }
  return read;
}

/// Who changes what is there holds the lock from reading to writing: of two at once neither is lost.
Status change(bool keep_the_rest, const std::vector<Option>& options) {
  std::vector<std::string> notes;
  {
    Guarded& guarded = guarded_defaults();
    const std::lock_guard<std::mutex> lock(guarded.mutex);
    auto read = read_over(keep_the_rest ? guarded.defaults : Defaults{}, options);
    if (!read.ok()) return std::move(read).failure();
    guarded.defaults = read.value().defaults;
    notes = std::move(read.value().notes);
  }
  log_notes("defaults of the process", notes);
  return ok_status();
}

}  // namespace

Defaults process_defaults() {
  Guarded& guarded = guarded_defaults();
  const std::lock_guard<std::mutex> lock(guarded.mutex);
  return guarded.defaults;
}

Result<General> environment_budget() {
  const char* written = std::getenv(kBudgetVariable);
  if (written == nullptr || *written == '\0') return General{};
  return read_written_budget(kBudgetVariable, written);
}

Status replace_defaults(const std::vector<Option>& options) {
  for (const Option& option : options) {
    if (name_behind(kEngineBudgetPrefix, option.key)) {
      return of_one_load(option, "Give it to the load, or a budget for every engine here");
    }
  }
  return change(false, options);
}

Status check_defaults(const std::vector<Option>& options) {
  auto read = read_over({}, options);
  if (!read.ok()) return std::move(read).failure();
  return ok_status();
}

Status merge_defaults(const std::vector<Option>& options) { return change(true, options); }

executorch::runtime::Error set_defaults(executorch::runtime::Span<const executorch::runtime::BackendOption> options) {
  return guarded("set_defaults", [&] { return replace_defaults(copy_options(options)); });
}

}  // namespace torchtrt_ws
