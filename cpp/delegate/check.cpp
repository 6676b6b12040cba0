#include "torchtrt_ws/check.h"

#include <executorch/runtime/backend/interface.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/quote.h"
#include "blob/blob.h"
#include "blob/verification.h"
#include "delegate/check_budgets.h"
#include "delegate/check_variants.h"
#include "delegate/error.h"
#include "delegate/load_request.h"
#include "delegate/process_defaults.h"
#include "delegate/read_options.h"
#include "engine/compare_payload.h"
#include "engine/engine_kind.h"
#include "engine/engine_probe.h"
#include "program/program_file.h"
#include "torchtrt_ws/adapter.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

using executorch::runtime::Error;

/// What the load of all engines is told.
struct Circumstances {
  std::vector<Option> options;
  Defaults defaults;
  OpenOptions how;
  bool digests;
};

/// The engines so far, and what is asked of their budgets: those whose blob and adapter can be read.
struct Checked {
  CheckReport report;
  std::vector<BudgetQuestion> questions;
  std::vector<size_t> engine_of;                                                     // for each question
  std::map<std::tuple<const uint8_t*, uint64_t, std::string, int>, size_t> weights;  // the first question on them
};

CheckFact compared(const char* name, Verify verify, const Blob& blob, const std::string& subject) {
  const Verification verification(verify, blob.metadata, subject);
  const bool recorded = verify == Verify::Digest ? blob.metadata.own.has_value() : verification.compares();
  if (!recorded) {
    return {name,
            Verdict::Unknown,
            "cannot be told: the file records none",
            "`torchtrt-ws annotate` adds it to what the file is now.",
            {}};
  }
  Status same = compare_payload(verification, blob.engine, blob.engine_size);
  if (!same.ok()) return fact_of(name, Verdict::No, same.failure());
  return {name,
          Verdict::Ok,
          "the engine's " + std::to_string(blob.engine_size) + " bytes are those that were saved",
          "",
          {}};
}

BudgetQuestion question_of(const Blob& blob, const std::string& name, Request request, const Circumstances& around,
                           const Probe& probe) {
  const auto& own = blob.metadata.own;
  const auto size = static_cast<int64_t>(blob.engine_size);
  const bool recorded = own && own->streamable_bytes.has_value();
  BudgetQuestion question;
  question.name = name;
  question.request = std::move(request);
  question.shares = recorded_shares(blob.metadata, around.how.share_engines);
  question.streamable = recorded ? *own->streamable_bytes : size;
  question.estimated = !recorded || own->streamable_estimated;
  question.scratch = own ? own->scratch_estimate : std::nullopt;
  question.resident = probe.holds_all ? std::max<int64_t>(size - question.streamable, 0) : 0;
  question.device = probe.device_name;
  question.free = probe.free_bytes;
  question.lock_limit = probe.lock_limit;
  return question;
}

void ask_for_budget(const Blob& blob, EngineCheck& engine, const std::vector<BakedSpec>& specs,
                    const Circumstances& around, const Probe& probe, Checked& checked) {
  auto request = read_load_request(around.options, specs, engine.name, around.defaults);
  if (!request.ok()) {
    engine.facts.push_back(fact_of("budget", Verdict::No, request.failure()));
    engine.facts.back().found = request.failure().subject + ": " + engine.facts.back().found;
    return;
  }
  BudgetQuestion question = question_of(blob, engine.name, std::move(request).value(), around, probe);
  if (around.how.share_engines) {
    const auto key = std::make_tuple(blob.engine, blob.engine_size, engine.kind,
                                     around.how.device_id.value_or(blob.metadata.device_id));
    const auto [first, is_new] = checked.weights.emplace(key, checked.questions.size());
    if (!is_new) question.weights_of = first->second;
  }
  checked.questions.push_back(std::move(question));
  checked.engine_of.push_back(checked.report.engines.size());
}

/// One engine: facts in the order in which a load would meet them.
void check_engine(const uint8_t* payload, const DelegateRecord& delegate, const Circumstances& around,
                  Checked& checked) {
  EngineCheck engine{"engine" + std::to_string(checked.report.engines.size()), delegate.method, "", {}};
  auto blob = read_blob(payload, delegate.size);
  if (!blob.ok()) {
    engine.facts.push_back(fact_of("blob", Verdict::No, blob.failure()));
    engine.facts.back().found = blob.failure().subject + ": " + engine.facts.back().found;
    checked.report.engines.push_back(std::move(engine));
    return;
  }
  const Blob& read = blob.value();
  const auto& own = read.metadata.own;
  if (own) engine.name = own->name;
  if (read.engine_size == 0) {  // a load looks at it
    engine.facts.push_back({"blob",
                            Verdict::Unknown,
                            "cannot be told: the engine is in a data file, under the key " + in_quotes(read.engine_key),
                            "Load the program with that file.",
                            {}});
    checked.report.engines.push_back(std::move(engine));
    return;
  }
  engine.kind = own ? own->kind : guess_engine_kind(read.engine, read.engine_size);
  const auto adapter = find_engine_kind(engine.kind);
  if (!adapter.ok()) {
    engine.facts.push_back(fact_of("adapter", Verdict::No, adapter.failure()));
  } else {
    engine.facts.push_back(
        {"adapter", Verdict::Ok, "that of " + in_quotes(engine.kind) + " engines is loaded", "", {}});
    const ProbeEngine probe_engine = find_engine_probe(engine.kind);
    const int device = around.how.device_id.value_or(read.metadata.device_id);
    const Blob plan = likeliest_plan(read, engine.kind, device, engine.facts);
    Probe probe;
    if (probe_engine != nullptr) {
      probe = probe_engine({plan.metadata, engine.name, plan.engine, plan.engine_size, device});
    }
    engine.facts.insert(engine.facts.end(), std::make_move_iterator(probe.facts.begin()),
                        std::make_move_iterator(probe.facts.end()));
    ask_for_budget(plan, engine, delegate.specs, around, probe, checked);
  }
  if (around.digests) {
    const std::string subject = "engine '" + engine.name + "'";
    engine.facts.push_back(compared("checksum", Verify::Checksum, read, subject));
    engine.facts.push_back(compared("digest", Verify::Digest, read, subject));
  }
  checked.report.engines.push_back(std::move(engine));
}

/// Whether what the program calls beside our engines is in this process; asked when the adapters are loaded.
CheckFact backend_fact(const std::string& name, int delegates) {
  const std::string found =
      std::to_string(delegates) + (delegates == 1 ? " delegate of " : " delegates of ") + in_quotes(name);
  if (executorch::runtime::get_backend_class(name.c_str()) != nullptr) {
    return {"backend", Verdict::Ok, found + ", which is registered", "", {}};
  }
  return {"backend",
          Verdict::No,
          found + ", which no library of this process has registered",
          "Link or load the library of that backend.",
          {}};
}

CheckFact delegate_fact() {
  if (registration_status() == Error::Ok) {
    return {"delegate", Verdict::Ok, std::string(kBackendId) + " is that of torchtrt-ws", "", {}};
  }
  return {"delegate",
          Verdict::No,
          std::string(kBackendId) + " is another library's in this process",
          "Load torchtrt_ws before that library (Torch-TensorRT's ExecuTorch runtime, say).",
          {}};
}

Result<CheckReport> check_program(const ProgramFile& program, const Circumstances& around) {
  Checked checked;
  std::map<std::string, int> others;
  for (const DelegateRecord& delegate : program.delegates()) {
    if (delegate.backend == kBackendId) {
      check_engine(program.payload(delegate), delegate, around, checked);
    } else {
      ++others[delegate.backend];
    }
  }
  const std::vector<BudgetAnswer> answers = foretell_budgets(checked.questions);
  for (size_t i = 0; i < answers.size(); ++i) {
    checked.report.engines[checked.engine_of[i]].facts.push_back(answers[i].fact);
  }
  std::vector<CheckFact>& facts = checked.report.facts;
  facts = foretell_memory(checked.questions, answers);
  facts.insert(facts.begin(), delegate_fact());
  for (const auto& [name, count] : others) facts.push_back(backend_fact(name, count));
  return std::move(checked.report);
}

}  // namespace

const char* verdict_name(Verdict verdict) noexcept {
  constexpr const char* kNames[] = {"ok", "advice", "no", "unknown"};
  const auto index = static_cast<size_t>(verdict);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

bool CheckReport::ok() const noexcept {
  const auto no = [](const CheckFact& fact) { return fact.verdict == Verdict::No; };
  return std::none_of(facts.begin(), facts.end(), no) &&
         std::none_of(engines.begin(), engines.end(), [&no](const EngineCheck& engine) {
           return std::any_of(engine.facts.begin(), engine.facts.end(), no);
         });
}

executorch::runtime::Result<CheckReport> check(
    const std::string& path, executorch::runtime::Span<const executorch::runtime::BackendOption> options,
    bool digests) {
  CheckReport report;
  const Error error = guarded("check", [&]() -> Status {
    auto program = ProgramFile::open(path);
    if (!program.ok()) return std::move(program).failure();
    Circumstances around{copy_options(options), process_defaults(), {}, digests};
    auto how = read_open_options(around.options, around.defaults.open);
    if (!how.ok()) return std::move(how).failure();
    around.how = how.value();
    auto found = check_program(program.value(), around);
    if (!found.ok()) return std::move(found).failure();
    report = std::move(found).value();
    return ok_status();
  });
  if (error != Error::Ok) return error;
  return report;
}

}  // namespace torchtrt_ws
