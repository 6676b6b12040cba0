#include "delegate/program_memory.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "budget/ladder.h"
#include "delegate/headroom.h"
#include "engine/log.h"

namespace torchtrt_ws {
namespace {

/// Less than this part of an engine's weights is not worth a new context.
constexpr int64_t kWorthIt = 16;

Demand demand_of(const MemoryFacts& facts) { return {facts.streamable, facts.scratch, facts.context, facts.staging}; }

/// What an engine needs besides weights at the budget it has, which nobody may move.
Demand fixed_demand_of(const MemoryFacts& facts, int64_t budget) {
  return {0, 0, facts.context + (budget < facts.streamable ? facts.scratch : 0), facts.staging};
}

std::string percent(int64_t part, int64_t whole) {
  const auto rounded = static_cast<int64_t>(100.0 * static_cast<double>(part) / static_cast<double>(whole));
  return std::to_string(rounded) + "%";
}

}  // namespace

std::mutex& planning() {
  static auto* mutex = new std::mutex;  // leaked: programs may be loaded while the process ends
  return *mutex;
}

ProgramMemory::ProgramMemory(Engine& engine, const std::optional<Shares>& shares, ProgramEngines program,
                             std::optional<int64_t> margin, Handles sharers, ContextCount contexts)
    : engine_(engine),
      shares_(shares),
      others_(std::move(program.others)),
      live_(program.live),
      sharers_(std::move(sharers)),
      contexts_(contexts),
      margin_(margin) {}

/// The engine's, with all its contexts. None of them is there now, but for the blocks that other engines need too.
MemoryFacts ProgramMemory::own_memory() const {
  MemoryFacts facts = engine_.memory();
  for (int64_t* each : {&facts.context, &facts.scratch, &facts.staging}) *each *= contexts_.all;
  facts.shared *= contexts_.live;
  return facts;
}

/// What another engine of the program takes with all its contexts. Those that are live hold theirs already: only the
/// block, which is planned as a whole, counts them again, and scratch that they will need once they stream.
Demand ProgramMemory::demand_of_all(const Demand& one, bool in_block, bool streams) const {
  const int to_come = contexts_.all - contexts_.live + 1;
  const int working = in_block ? contexts_.all : to_come;
  return {one.streamable, one.scratch * (streams ? working : contexts_.all), one.context * working,
          one.staging * to_come};
}

int ProgramMemory::engines_to_come() const {
  if (!shares_) return 0;
  return std::max(shares_->engines - live_, 0);
}

/// What the file records of the weights that are still to come; negative where it does not.
int64_t ProgramMemory::streamable_to_come() const {
  if (!shares_ || !shares_->program_streamable) return -1;
  int64_t rest = *shares_->program_streamable;
  const auto subtract = [&rest](const std::optional<Shares>& shares) {
    if (!shares || !shares->engine_streamable) return false;
    return !__builtin_sub_overflow(rest, *shares->engine_streamable, &rest);
  };
  if (!subtract(shares_)) return -1;
  std::set<const void*> counted = {engine_.weights()};
  for (const auto& other : others_) {
    const bool again = !counted.insert(other->weights()).second;
    if (!again && !subtract(other->shares())) return -1;
  }
  return std::max<int64_t>(rest, 0);
}

int64_t ProgramMemory::collect() {
  members_.clear();
  fixed_.clear();
  const std::string device = engine_.device_name();
  const MemoryFacts own = own_memory();
  working_ = own.in_block ? Working::InOneBlock : Working::Apart;
  int64_t held = own.shared;  // the rest of the block is in what the engine holds
  Handles movable = others_;
  movable.insert(movable.end(), sharers_.begin(), sharers_.end());
  for (const auto& other : movable) {
    const auto standing = other->standing();
    if (!standing || standing->asleep || standing->device != device) continue;
    if (!standing->automatic) {
      // Its context works in the block too, whose memory is planned as a whole.
      if (standing->memory.in_block && own.in_block) {
        fixed_.push_back(demand_of_all(fixed_demand_of(standing->memory, standing->budget), true, true));
      }
      continue;
    }
    // Where weights are shared, one of those on them counts and moves them.
    const int64_t budget = std::min(standing->budget, standing->memory.streamable);
    const Demand demand =
        demand_of_all(demand_of(standing->memory), standing->memory.in_block, budget < standing->memory.streamable);
    members_.push_back({other, demand, budget, budget, budget});
    held += standing->memory.held - standing->memory.held_block;
  }
  return own.free + held;
}

std::vector<Demand> ProgramMemory::demands(const Demand& own) const {
  std::vector<Demand> demands = {own};
  for (const Member& member : members_) demands.push_back(member.demand);
  const Demand to_come = still_to_come(engines_to_come(), streamable_to_come(), demands, working_);
  demands.insert(demands.end(), fixed_.begin(), fixed_.end());
  demands.push_back(to_come);
  return demands;
}

int64_t ProgramMemory::plan(int64_t available, const Demand& own) {
  std::vector<Demand> all = demands(own);
  MemoryPlan plan = plan_memory(available, all, working_);
  if (plan.left < 0) {  // what is still to come is a guess: nobody starves for it
    all.back() = {0, 0, 0, 0};
    plan = plan_memory(available, all, working_);
  }
  for (size_t i = 0; i < members_.size(); ++i) members_[i].target = plan.budgets[i + 1];
  return plan.budgets[0];
}

Result<int64_t> ProgramMemory::choose(int64_t reserve) {
  if (chosen_) return *chosen_;
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 4;  // so that sums do not overflow
  const int64_t headroom = headroom_bytes(engine_.device_name());
  const int64_t margin = reserve > 0 ? std::max(reserve, margin_.value_or(0)) : margin_.value_or(kDefaultMargin);
  keep_free_ = std::min(std::max(margin, headroom), kMost);
  int64_t available = collect() - keep_free_;
  MemoryFacts own = own_memory();
  if (!everything_fits(available, demands(demand_of(own)),
                       working_)) {  // only then does scratch count; asking for it moves weights
    (void)engine_.scratch_bytes();
    available = collect() - keep_free_;
    own = own_memory();
  }
  int64_t chosen = plan(available, demand_of(own));
  MemoryFacts kept = own;
  kept.free -= keep_free_;
  if (const int64_t now = largest_budget_that_fits(kept);
      now >= 0 && now < chosen && chosen < own.streamable && chosen - now <= own.streamable / kWorthIt) {
    chosen = now;  // the others need not move for so little
  }
  if (others_.empty() && engines_to_come() == 0 && reserve == 0 && headroom == 0 && !margin_) {
    auto automatic = engine_.automatic_budget();
    if (!automatic.ok()) return automatic;
    chosen = std::max(chosen, std::min(automatic.value(), largest_budget_that_fits(own)));
  }
  chosen_ = chosen;
  return chosen;
}

int64_t ProgramMemory::keep_free() const {
  return chosen_ ? keep_free_ : std::max(margin_.value_or(kDefaultMargin), headroom_bytes(engine_.device_name()));
}

void ProgramMemory::make_room(int64_t budget) {
  const MemoryFacts own = own_memory();
  if (needed_memory(own, budget) <= own.free - (chosen_ ? keep_free_ : 0)) return;
  if (!chosen_) {
    Demand explicit_one = fixed_demand_of(own, budget);
    explicit_one.staging += budget;
    (void)plan(collect(), explicit_one);
  }
  for (Member& member : members_) {
    if (member.target < member.budget) move(member, member.target, "another engine of the program needs room");
  }
}

void ProgramMemory::use_what_is_left() {
  if (!chosen_ || engines_to_come() > 0) return;
  for (Member& member : members_) {
    const int64_t more = member.target - member.budget;
    const bool all = member.target == member.demand.streamable;
    if (more <= 0 || (!all && more <= member.demand.streamable / kWorthIt)) continue;
    move(member, member.target, "the program's other engines leave room");
  }
}

void ProgramMemory::put_back() {
  for (Member& member : members_) {
    if (member.budget != member.before) move(member, member.before, "the engine that needed room does not take it");
  }
}

void ProgramMemory::move(Member& member, int64_t budget, const char* why) {
  const std::string subject = "engine '" + member.handle->identity().name + "'";
  Status moved = member.handle->move_budget(budget);
  if (!moved.ok()) {
    log_info("warning: " + subject + " keeps its budget: " + moved.failure().message());
    return;
  }
  log_info(subject + ": budget " + std::to_string(budget) + " bytes instead of " + std::to_string(member.budget) +
           ": " + why);
  member.budget = budget;
}

std::string ProgramMemory::summary(const EngineReport& own) const {
  if (engines_to_come() > 0) return "";
  std::vector<EngineReport> reports;
  for (const auto& other : others_) reports.push_back(other->report());
  reports.push_back(own);
  const MemoryFacts now = engine_.memory();
  const int64_t left = now.free - now.held;
  int64_t taken = 0;
  bool streams = false, asked = false;
  std::string engines;
  for (const EngineReport& report : reports) {
    taken += report.device_bytes;
    const bool partly = report.budget_bytes < report.streamable_bytes;
    streams = streams || partly;
    asked = asked || (partly && report.source != source_name(Source::Automatic));
    engines += (engines.empty() ? "" : ", ") + report.name + " " + std::to_string(report.budget_bytes) + " of " +
               std::to_string(report.streamable_bytes);
    if (report.streamable_bytes > 0) engines += " (" + percent(report.budget_bytes, report.streamable_bytes) + ")";
  }
  const std::string limit = !streams ? "nothing, all weights are resident"
                            : asked  ? "the budgets that were given"
                                     : "the device's memory";
  return "program on " + engine_.device_name() + ": " + std::to_string(left + taken) +
         " bytes were free; weights kept: " + engines + "; " + std::to_string(taken) + " taken, " +
         std::to_string(left) + " left; limited by " + limit;
}

}  // namespace torchtrt_ws
