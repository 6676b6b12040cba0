#include "delegate/check_budgets.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "budget/memory_plan.h"
#include "engine/engine_probe.h"

namespace torchtrt_ws {
namespace {

constexpr int64_t kAll = std::numeric_limits<int64_t>::max();  // how "100%" is baked

std::string bytes(int64_t count) { return std::to_string(count) + " bytes"; }

/// Saturates: sizes come from a file.
int64_t add(int64_t a, int64_t b) { return a > kAll - b ? kAll : a + b; }

/// What one engine has decided by itself; an automatic budget is not, till its device's is planned.
struct Decision {
  std::optional<Resolution> resolution;
  int64_t keep_free = 0;  // of an automatic one
  bool is_pending = false;
};

Result<Resolution> resolve_with(const BudgetQuestion& question, int64_t automatic, int64_t& reserve_asked) {
  EngineFacts facts{question.streamable, 0, question.shares, nullptr};
  facts.automatic = [&reserve_asked, automatic](int64_t reserve) -> Result<int64_t> {
    reserve_asked = reserve;
    return automatic;
  };
  auto decided = resolve(question.request, facts);
  if (!decided.ok()) return decided;
  const int64_t bytes = decided.value().bytes.value_or(0);
  if (bytes == 0 || bytes >= facts.streamable) return decided;  // as a load decides: apply.cpp
  facts.scratch = question.scratch.value_or(0);
  return resolve(question.request, facts);
}

/// The warnings among the notes: what somebody should do.
std::string advice_in(const std::vector<std::string>& notes) {
  const std::string mark = "warning: ";
  std::string advice;
  for (const std::string& note : notes) {
    if (note.rfind(mark, 0) != 0) continue;
    if (!advice.empty()) advice += ' ';
    advice += note.substr(mark.size());
  }
  return advice;
}

CheckFact budget_fact(const BudgetQuestion& question, const Resolution& decided) {
  CheckFact fact{"budget", Verdict::Ok, "", advice_in(decided.notes), {}};
  if (!fact.remedy.empty()) fact.verdict = Verdict::Advice;
  const std::string about = question.estimated ? "about " : "";
  if (!decided.bytes) {
    fact.found = "no weights that can be streamed: all stay on the device";
    return fact;
  }
  const bool nothing_asked = decided.source == Source::Automatic;
  fact.found = bytes(*decided.bytes) + " of " + about + std::to_string(question.streamable) +
               " that can be streamed stay on the device (" + source_name(decided.source) +
               (nothing_asked || decided.requested == std::to_string(kAll) ? "" : ": " + decided.requested) + ")";
  fact.bytes = {{"budget", *decided.bytes}, {"streamable", question.streamable}};
  if (decided.clipped && decided.requested != std::to_string(kAll)) {
    fact.verdict = Verdict::Advice;
    fact.remedy = "More than all weights is asked, and clipped: give 100% or less." +
                  (fact.remedy.empty() ? "" : " " + fact.remedy);
  }
  return fact;
}

/// What an engine takes besides its execution context.
struct Taken {
  int64_t weights = 0;
  int64_t resident = 0;
  int64_t scratch = 0;  // of the largest: the contexts of a program lie in one block
  bool scratch_known = true;

  int64_t all() const { return add(add(weights, resident), scratch); }

  void count(const BudgetQuestion& question, int64_t budget) {
    weights = add(weights, budget);
    resident = add(resident, question.resident);
    if (budget >= question.streamable) return;
    scratch = std::max(scratch, question.scratch.value_or(0));
    scratch_known = scratch_known && question.scratch.has_value();
  }
};

/// Gives the pending engines of `device` what is left by the others, as at load.
void plan_device(const std::string& device, const std::vector<BudgetQuestion>& questions,
                 std::vector<Decision>& decisions) {
  std::vector<size_t> pending;
  std::vector<Demand> demands;
  Taken taken;
  int64_t free = 0, keep_free = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    const BudgetQuestion& question = questions[i];
    if (question.device != device || question.weights_of) continue;
    if (decisions[i].is_pending) {
      pending.push_back(i);
      demands.push_back({question.streamable, question.scratch.value_or(0), 0, 0});
      taken.resident = add(taken.resident, question.resident);
      keep_free = std::max({keep_free, decisions[i].keep_free, question.request.margin.value_or(kDefaultMargin)});
      free = question.free.value_or(0);
    } else if (decisions[i].resolution) {
      taken.count(question, decisions[i].resolution->bytes.value_or(0));
    }
  }
  if (pending.empty()) return;
  const int64_t available = free - std::min(free, add(keep_free, taken.all()));
  const MemoryPlan plan = plan_memory(available, demands, Working::InOneBlock);
  for (size_t k = 0; k < pending.size(); ++k) {
    Decision& decision = decisions[pending[k]];
    int64_t reserve = 0;
    auto decided = resolve_with(questions[pending[k]], plan.budgets[k], reserve);
    decision.resolution = decided.ok() ? std::optional(std::move(decided).value()) : std::nullopt;
    decision.is_pending = false;
  }
}

std::string of_memory(const Taken& taken, const std::string& device) {
  std::string text = bytes(taken.weights) + " of weights by the budgets";
  if (device == "cpu") return text;
  if (taken.resident > 0) text += ", " + bytes(taken.resident) + " that cannot be streamed";
  if (taken.scratch > 0) text += ", " + bytes(taken.scratch) + " of scratch";
  if (!taken.scratch_known) text += ", scratch that the file does not record";
  return text + ", execution contexts that are known once it is loaded";
}

CheckFact memory_fact(const std::string& device, const Taken& taken, std::optional<int64_t> free, int64_t margin,
                      bool budgets_known) {
  CheckFact fact{"memory", Verdict::Ok, "", "", {{"needed", taken.all()}, {"margin", margin}}};
  if (!free) {
    fact.verdict = Verdict::Unknown;
    fact.found = "cannot be told here: what is free on " + device;
    if (budgets_known) fact.found += "; needed is at least " + of_memory(taken, device);
    return fact;
  }
  fact.bytes.emplace_back("free", *free);
  fact.found = bytes(*free) + " free on " + device + "; needed is at least " + bytes(taken.all()) + ": " +
               of_memory(taken, device);
  if (!budgets_known) {
    fact.verdict = Verdict::Unknown;
    fact.found += "; the budget of an engine is not known";
  }
  if (taken.all() > *free) {
    fact.verdict = device == "cpu" ? Verdict::Advice : Verdict::No;  // a file's pages give way
    const int64_t besides = add(taken.resident, taken.scratch);
    fact.remedy = besides > *free
                      ? "Not even a budget of 0 fits: free " + bytes(besides - *free) + " on " + device + "."
                      : "Free " + bytes(taken.all() - *free) + " on " + device + ", or load with a budget of at most " +
                            bytes(*free - besides) + ".";
  } else if (fact.verdict == Verdict::Ok && add(taken.all(), margin) > *free) {
    fact.verdict = Verdict::Advice;
    fact.remedy = "Less than the margin of " + bytes(margin) + " stays free: execution contexts may not fit. Free " +
                  bytes(add(taken.all(), margin) - *free) + ", or give a smaller budget.";
  }
  return fact;
}

CheckFact lock_fact(int64_t weights, int64_t limit) {
  CheckFact fact{"lock", Verdict::Ok, "", "", {{"needed", weights}, {"limit", limit}}};
  const std::string allowed = limit == kAll ? "as much as there is" : bytes(limit);
  fact.found = bytes(weights) + " of weights are to be locked in memory; RLIMIT_MEMLOCK allows " + allowed;
  if (weights > limit) {
    fact.verdict = Verdict::Advice;
    fact.remedy = "The system may page them out: raise RLIMIT_MEMLOCK (ulimit -l) to the budgets.";
  }
  return fact;
}

BudgetAnswer answer(const BudgetQuestion& question, const Decision& decision) {
  if (!decision.resolution) {
    const std::string why = "cannot be told here: it is chosen by what is free on " + question.device;
    return {{"budget", Verdict::Unknown, why, "", {{"streamable", question.streamable}}}, std::nullopt};
  }
  return {budget_fact(question, *decision.resolution), decision.resolution->bytes.value_or(0)};
}

}  // namespace

std::vector<BudgetAnswer> foretell_budgets(const std::vector<BudgetQuestion>& questions) {
  std::vector<Decision> decisions(questions.size());
  std::vector<std::optional<Failure>> failures(questions.size());
  for (size_t i = 0; i < questions.size(); ++i) {
    Decision& decision = decisions[i];
    auto decided = resolve_with(questions[i], questions[i].streamable, decision.keep_free);
    if (!decided.ok()) {
      failures[i] = std::move(decided).failure();
      continue;
    }
    decision.is_pending = decided.value().automatic && decided.value().bytes && questions[i].free;
    if (!decided.value().automatic || !decided.value().bytes) decision.resolution = std::move(decided).value();
  }
  for (const BudgetQuestion& question : questions) plan_device(question.device, questions, decisions);

  std::vector<BudgetAnswer> answers;
  for (size_t i = 0; i < questions.size(); ++i) {
    const auto& other = questions[i].weights_of;
    if (failures[i]) {
      answers.push_back({fact_of("budget", Verdict::No, *failures[i]), std::nullopt});
      answers.back().fact.found = failures[i]->subject + ": " + answers.back().fact.found;
    } else if (other) {
      answers.push_back(
          {{"budget", Verdict::Ok, "that of '" + questions[*other].name + "', whose weights these are", "", {}},
           answers[*other].budget});
    } else {
      answers.push_back(answer(questions[i], decisions[i]));
    }
  }
  return answers;
}

std::vector<CheckFact> foretell_memory(const std::vector<BudgetQuestion>& questions,
                                       const std::vector<BudgetAnswer>& answers) {
  struct Device {
    Taken taken;
    std::optional<int64_t> free, lock_limit;
    int64_t margin = 0;
    bool budgets_known = true;
  };
  std::map<std::string, Device> devices;
  for (size_t i = 0; i < questions.size(); ++i) {
    const BudgetQuestion& question = questions[i];
    Device& device = devices[question.device];
    device.free = question.free;
    device.lock_limit = question.lock_limit;
    device.margin = std::max(device.margin, question.request.margin.value_or(kDefaultMargin));
    if (question.weights_of) continue;
    device.budgets_known = device.budgets_known && answers[i].budget.has_value();
    device.taken.count(question, answers[i].budget.value_or(0));
  }
  std::vector<CheckFact> facts;
  for (const auto& [name, device] : devices) {
    facts.push_back(memory_fact(name, device.taken, device.free, device.margin, device.budgets_known));
    if (device.lock_limit) facts.push_back(lock_fact(device.taken.weights, *device.lock_limit));
  }
  return facts;
}

}  // namespace torchtrt_ws
