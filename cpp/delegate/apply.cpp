#include "delegate/apply.h"

#include <algorithm>
#include <utility>

#include "budget/ladder.h"
#include "delegate/handle.h"
#include "engine/stage.h"

namespace torchtrt_ws {
namespace {

Result<Resolution> decide(Engine& engine, const Request& request, const std::optional<Shares>& shares,
                          ProgramMemory& memory) {
  EngineFacts facts;
  facts.streamable = engine.streamable_bytes();
  facts.scratch = 0;
  facts.shares = shares;
  facts.automatic = [&memory](int64_t reserve) { return memory.choose(reserve); };
  auto decided = resolve(request, facts);
  if (!decided.ok()) return decided;
  // Scratch matters between nothing and everything only. Asking a fresh TensorRT engine for it moves its weights.
  const std::optional<int64_t> bytes = decided.value().bytes;
  if (!bytes || *bytes == 0 || *bytes >= facts.streamable) return decided;
  facts.scratch = engine.scratch_bytes();
  return resolve(request, facts);
}

Status make_context(Engine& engine) {
  const Stage stage("context");
  return engine.make_context();
}

Status set_budget(Engine& engine, int64_t budget) {
  const Stage stage("budget");
  return engine.set_budget(budget);
}

Status set_and_make(Engine& engine, int64_t budget) {
  Status set = set_budget(engine, budget);
  return set.ok() ? make_context(engine) : set;
}

std::string bytes(int64_t count) { return std::to_string(count) + " bytes"; }

/// The engine's own words, with the numbers that let the reader choose a budget that works.
Failure does_not_fit(Engine& engine, const std::string& name, int64_t asked, const Failure& last) {
  (void)engine.scratch_bytes();  // a fresh TensorRT engine knows its scratch only when asked, and the numbers need it
  const MemoryFacts facts = engine.memory();
  const int64_t largest = largest_budget_that_fits(facts);
  std::string found = "a budget of " + bytes(asked) + " with " + bytes(facts.free) + " free";
  if (!last.found.empty()) found += " (" + last.found + ")";
  std::string expected = "budget + scratch " + bytes(facts.scratch) + " + context " +
                         bytes(facts.context + facts.staging) + " within what is free; at the full " +
                         bytes(facts.streamable) + " no scratch is needed";
  std::string next_step = largest >= 0 ? "The largest budget that fits is " + bytes(largest)
                                       : "Not even a budget of 0 fits: free at least " +
                                             bytes(least_memory_that_would_do(facts)) + " on the device";
  return {ErrorCode::DoesNotFit, "engine '" + name + "'", std::move(found), std::move(expected), std::move(next_step)};
}

/// Goes down the ladder until a budget and its context fit.
Result<Applied> step_down(Engine& engine, const std::string& name, Applied applied, Failure last) {
  std::optional<int64_t> budget = applied.resolved;
  for (int tries = 1;; ++tries) {
    (void)engine.scratch_bytes();  // as in does_not_fit()
    budget = next_smaller_budget(*budget, tries, engine.memory());
    if (!budget) return does_not_fit(engine, name, applied.resolved, last);
    ++applied.ladder_steps;
    applied.notes.push_back("warning: the automatic budget did not fit (" + last.found + "); trying " + bytes(*budget));
    Status made = set_and_make(engine, *budget);
    if (made.ok()) return applied;
    if (made.failure().code != ErrorCode::DoesNotFit) return std::move(made).failure();
    last = std::move(made).failure();
  }
}

Result<Applied> apply_decided(Engine& engine, Resolution resolution, const std::string& name) {
  Applied applied{
      resolution.source,           resolution.automatic, std::move(resolution.requested), resolution.bytes.value_or(0),
      std::move(resolution.notes), resolution.clipped};
  Status made = resolution.bytes ? set_and_make(engine, *resolution.bytes) : make_context(engine);
  if (made.ok()) return applied;
  if (made.failure().code != ErrorCode::DoesNotFit) return std::move(made).failure();
  if (resolution.automatic) return step_down(engine, name, std::move(applied), std::move(made).failure());
  return does_not_fit(engine, name, applied.resolved, made.failure());
}

}  // namespace

Result<Applied> apply_budget(Engine& engine, const Request& request, const std::optional<Shares>& shares,
                             const std::string& name, ProgramMemory& memory) {
  auto decided = decide(engine, request, shares, memory);
  if (!decided.ok()) return std::move(decided).failure();
  memory.make_room(decided.value().bytes.value_or(0));
  auto applied = apply_decided(engine, std::move(decided).value(), name);
  applied.ok() ? memory.use_what_is_left() : memory.put_back();
  if (applied.ok()) applied.value().keep_free = memory.keep_free();
  return applied;
}

Result<Applied> join_budget(Engine& engine, const Request& request, const std::optional<Shares>& shares,
                            const std::string& name, ProgramMemory& memory, const Handle& first) {
  const int64_t now = engine.budget();
  auto wanted = resolve(request, {engine.streamable_bytes(), 0, shares, [now](int64_t) { return now; }});
  if (!wanted.ok()) return std::move(wanted).failure();
  const auto standing = first.standing();
  Applied applied{standing ? standing->source : Source::None,
                  standing && standing->automatic,
                  wanted.value().requested,
                  now,
                  std::move(wanted.value().notes),
                  wanted.value().clipped};
  if (standing) applied.taken = standing->taken;
  applied.keep_free = memory.keep_free();
  const std::string whose = "the weights of '" + first.identity().name + "', which is loaded already";
  if (engine.budget_for(wanted.value().bytes.value_or(now)) == now) {
    applied.notes.push_back("shares " + whose + ", and their budget of " + bytes(now));
  } else {
    applied.notes.push_back("warning: asked for " + bytes(*wanted.value().bytes) + ", but it shares " + whose +
                            ": their budget stays " + bytes(now) +
                            ". Change it after loading, or load with use_shared_engines off.");
  }
  memory.make_room(0);
  Status made = make_context(engine);
  if (made.ok()) return applied;
  memory.put_back();
  if (made.failure().code != ErrorCode::DoesNotFit) return std::move(made).failure();
  const MemoryFacts facts = engine.memory();
  return Failure{ErrorCode::DoesNotFit, "engine '" + name + "'",
                 bytes(facts.free) + " free (" + made.failure().found + ")",
                 bytes(needed_memory(facts, 0)) + " for an execution context on " + whose,
                 "Free memory, or make the budget of '" + first.identity().name + "' smaller before loading this one"};
}

Result<Applied> resume_budget(Engine& engine, Decision decision, int64_t keep_free, const std::string& name) {
  const bool streams = engine.streamable_bytes() > 0;
  MemoryFacts facts = engine.memory();
  std::vector<std::string> notes;
  if (streams && decision.automatic && needed_memory(facts, decision.budget) > facts.free) {
    (void)engine.scratch_bytes();  // as in does_not_fit()
    facts = engine.memory();
    const std::string before = bytes(decision.budget);
    facts.free -= keep_free;  // for what runs take, its own and others': nothing is left at the largest that fits
    decision.budget = std::clamp<int64_t>(largest_budget_that_fits(facts), 0, decision.budget);
    notes.push_back("warning: the automatic budget of " + before + " does not fit any more; trying " +
                    bytes(decision.budget));
  }
  return apply_decided(engine,
                       {streams ? std::optional<int64_t>(decision.budget) : std::nullopt, decision.source, true,
                        decision.automatic, std::to_string(decision.budget), std::move(notes)},
                       name);
}

}  // namespace torchtrt_ws
