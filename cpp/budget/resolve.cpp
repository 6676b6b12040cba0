#include "budget/resolve.h"

#include <cstddef>
#include <iterator>
#include <utility>

#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

using Wide = unsigned __int128;  // total * streamable overflows 64 bits

/// The strongest form that was asked, and where it came from.
struct Choice {
  General form;
  Source source;
};

Choice strongest(const Request& request) {
  if (request.engine.has_value()) return {*request.engine, Source::LoadTimeEngine};
  if (!std::holds_alternative<std::monostate>(request.general)) return {request.general, Source::LoadTime};
  if (!std::holds_alternative<std::monostate>(request.process)) return {request.process, Source::ProcessDefault};
  if (!std::holds_alternative<std::monostate>(request.environment)) return {request.environment, Source::Environment};
  if (request.baked.has_value()) return {*request.baked, Source::Baked};
  return {std::monostate{}, Source::Automatic};
}

std::string describe(const General& form) {
  struct Visitor {
    std::string operator()(std::monostate) const { return "nothing"; }
    std::string operator()(Bytes b) const { return std::to_string(b.value); }
    std::string operator()(Total t) const { return "total " + std::to_string(t.value); }
    std::string operator()(Percent p) const { return std::to_string(p.value) + "%"; }
    std::string operator()(Reserve r) const { return r.value == 0 ? "auto" : "free-" + std::to_string(r.value); }
  };
  return std::visit(Visitor{}, form);
}

/// floor(whole * part / of), exact. Precondition: 0 <= part <= of and of > 0, so that the result is at most `whole`.
int64_t scale(int64_t whole, int64_t part, int64_t of) {
  return static_cast<int64_t>(static_cast<Wide>(whole) * static_cast<Wide>(part) / static_cast<Wide>(of));
}

Failure no_shares(Source source, std::string found, std::string expected) {
  const bool of_environment = source == Source::Environment;
  const std::string other = of_environment ? "N%" : std::string(kBudgetKey) + " or " + std::string(kPercentKey);
  return Failure{
      ErrorCode::BadOption, std::string(of_environment ? kBudgetVariable : kTotalBudgetKey), std::move(found),
      std::move(expected),
      "Give " + other + ", or run `torchtrt-ws annotate` on the file, or save the program again with torchtrt-ws"};
}

/// This engine's part of a program's total. The parts of all engines never sum to more than the total.
Result<int64_t> share_of(Total total, Source source, const EngineFacts& facts) {
  if (!facts.shares.has_value()) {
    return no_shares(source, "a program without torchtrt-ws metadata",
                     "engines whose shares of the program are recorded");
  }
  const Shares& shares = *facts.shares;
  if (shares.engines <= 1) return total.value;
  if (!shares.engine_streamable.has_value() || !shares.program_streamable.has_value()) {
    return no_shares(source, std::to_string(shares.engines) + " engines whose streamable bytes were not known at save",
                     "recorded streamable bytes to split the total by");
  }
  const int64_t part = *shares.engine_streamable;
  const int64_t whole = *shares.program_streamable;
  if (part < 0 || part > whole) {
    return Failure{ErrorCode::BadBlob, "engine blob: torchtrt_ws.streamable_bytes", std::to_string(part),
                   "0 to the program's " + std::to_string(whole), "The file is damaged: save the program again"};
  }
  if (total.value >= whole) return facts.streamable;  // all of it, also where `part` was an estimate
  return scale(total.value, part, whole);
}

Result<int64_t> automatic_bytes(int64_t reserve, const EngineFacts& facts) {
  if (!facts.automatic) {
    return Failure{ErrorCode::EngineFault, "automatic budget", "an engine that offers none",
                   "an engine that chooses one", "Give " + std::string(kBudgetKey)};
  }
  auto bytes = facts.automatic(reserve);
  if (bytes.ok() && bytes.value() < 0) {
    return Failure{ErrorCode::EngineFault, "automatic budget", std::to_string(bytes.value()), "0 or more bytes",
                   "Give " + std::string(kBudgetKey)};
  }
  return bytes;
}

/// What `choice` comes to in bytes, before clipping.
Result<int64_t> to_bytes(const Choice& choice, const EngineFacts& facts) {
  const auto& [form, source] = choice;
  if (const auto* bytes = std::get_if<Bytes>(&form)) return bytes->value;
  if (const auto* total = std::get_if<Total>(&form)) return share_of(*total, source, facts);
  if (const auto* percent = std::get_if<Percent>(&form)) return scale(facts.streamable, percent->value, 100);
  const auto* reserve = std::get_if<Reserve>(&form);
  return automatic_bytes(reserve != nullptr ? reserve->value : 0, facts);
}

std::string asked(const Resolution& resolution) {
  return resolution.source == Source::Automatic
             ? "automatic budget"
             : std::string(source_name(resolution.source)) + " budget " + resolution.requested;
}

/// An engine without streamable weights runs resident, whatever was asked.
void leave_resident(Resolution& resolution) {
  const bool chosen_by_user = resolution.source != Source::Automatic && resolution.requested != "auto";
  if (chosen_by_user) {
    resolution.notes.push_back("warning: " + asked(resolution) +
                               " has no effect: the engine has no streamable weights and runs resident. Leave the "
                               "budget out, or give the engine such weights: a TensorRT plan is built with weight "
                               "streaming, a host engine needs a cache folder (TORCHTRT_WS_CACHE).");
  }
  resolution.source = Source::None;
}

/// Applies the two rules that know the streamable size: no budget above it, none in the hole below it.
int64_t settle(int64_t bytes, const EngineFacts& facts, Resolution& resolution) {
  const std::string all = std::to_string(facts.streamable);
  resolution.clipped = bytes > facts.streamable;
  if (resolution.clipped) {
    resolution.notes.push_back(asked(resolution) + " is clipped from " + std::to_string(bytes) + " to " + all +
                               " bytes, all of the engine's streamable weights.");
  }
  if (bytes >= facts.streamable) return facts.streamable;
  const int64_t first_in_hole = facts.streamable - facts.scratch;  // negative where scratch is larger: all are in it
  if (bytes < first_in_hole) return bytes;
  const std::string cost = std::to_string(bytes) + " bytes and " + std::to_string(facts.scratch) +
                           " bytes of scratch take no less of the device than all " + all + " streamable bytes";
  if (!resolution.explicit_bytes) {
    resolution.notes.push_back(asked(resolution) + " becomes " + all + " bytes: " + cost +
                               ", which need no scratch and run faster.");
    return facts.streamable;
  }
  std::string better = "Better: " + all + " (resident, faster)";
  if (first_in_hole > 0) better += ", or at most " + std::to_string(first_in_hole - 1) + " (less memory)";
  resolution.notes.push_back("warning: " + asked(resolution) + ": " + cost + ". " + better + ".");
  return bytes;
}

}  // namespace

const char* source_name(Source source) noexcept {
  constexpr const char* kNames[] = {"load-time (engine)", "load-time", "process default", "environment", "baked",
                                    "automatic",          "make-room", "headroom",        "none"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(Source::None) + 1);
  const auto index = static_cast<std::size_t>(source);
  return index < std::size(kNames) ? kNames[index] : "unknown source";
}

Result<Resolution> resolve(const Request& request, const EngineFacts& facts) {
  const Choice choice = strongest(request);
  const bool automatic =
      std::holds_alternative<std::monostate>(choice.form) || std::holds_alternative<Reserve>(choice.form);
  Resolution resolution{std::nullopt, choice.source,         std::holds_alternative<Bytes>(choice.form),
                        automatic,    describe(choice.form), request.notes};
  if (facts.streamable <= 0) {
    leave_resident(resolution);
    return resolution;
  }
  auto bytes = to_bytes(choice, facts);
  if (!bytes.ok()) return std::move(bytes).failure();
  resolution.bytes = settle(bytes.value(), facts, resolution);
  return resolution;
}

}  // namespace torchtrt_ws
