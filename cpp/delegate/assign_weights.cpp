#include "delegate/assign_weights.h"

#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/quote.h"

namespace torchtrt_ws {
namespace {

constexpr std::size_t kShown = 3;  // names in a message

Failure wrong(const std::string& subject, std::string found, std::string expected, std::string next_step) {
  return {ErrorCode::BadArgument, subject, std::move(found), std::move(expected), std::move(next_step)};
}

std::string names_in(const WeightsCopy& copy) {
  std::string text = "engine '" + copy.engine + "' takes " + std::to_string(copy.takes.size());
  for (std::size_t i = 0; i < copy.takes.size() && i < kShown; ++i) {
    text += (i == 0 ? ": " : ", ") + in_quotes(copy.takes[i].name);
  }
  return copy.takes.size() > kShown ? text + ", ..." : text;
}

std::string all_names(const std::vector<WeightsCopy>& copies) {
  std::string text;
  for (const WeightsCopy& copy : copies) text += (text.empty() ? "" : "; ") + names_in(copy);
  return text;
}

/// Both as the caller wrote it, and as the engine has it.
Status compare(const std::string& subject, const NewWeight& weight, const RefittableWeight& wanted) {
  const std::string next = "Convert it first: a weight keeps its dtype and its shape";
  if (weight.dtype != wanted.dtype) return wrong(subject, weight.dtype, wanted.dtype + ", as the engine has it", next);
  if (weight.count != wanted.count) {
    return wrong(subject, std::to_string(weight.count) + " elements",
                 std::to_string(wanted.count) + ", as the engine has it", next);
  }
  if (weight.bytes != wanted.bytes) {
    return wrong(subject, std::to_string(weight.bytes) + " bytes",
                 std::to_string(wanted.bytes) + " of " + std::to_string(wanted.count) + " elements of " + wanted.dtype,
                 next);
  }
  if (weight.data == nullptr) return wrong(subject, "no data", "its bytes in host memory", "Pass its address");
  return ok_status();
}

}  // namespace

Result<std::vector<std::vector<std::size_t>>> assign_weights(const std::vector<NewWeight>& given,
                                                             const std::vector<WeightsCopy>& copies) {
  if (given.empty()) return wrong("weights", "none", "one at least; " + all_names(copies), "Pass those that change");
  std::vector<std::unordered_map<std::string_view, const RefittableWeight*>> known(copies.size());
  for (std::size_t c = 0; c < copies.size(); ++c) {
    for (const RefittableWeight& weight : copies[c].takes) known[c].emplace(weight.name, &weight);
  }
  std::vector<std::vector<std::size_t>> assigned(copies.size());
  std::unordered_set<std::string_view> seen;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::string subject = "weight " + in_quotes(given[i].name);
    if (!seen.insert(given[i].name).second) return wrong(subject, "it twice", "each weight once", "Leave one out");
    std::vector<std::size_t> takers;
    for (std::size_t c = 0; c < copies.size(); ++c) {
      if (known[c].count(given[i].name) != 0) takers.push_back(c);
    }
    if (takers.empty()) {
      return wrong(subject, "no engine that takes it", "one of theirs; " + all_names(copies), "Mend the name");
    }
    if (takers.size() > 1) {
      return wrong(subject, "engines '" + copies[takers[0]].engine + "' and '" + copies[takers[1]].engine + "' take it",
                   "a weight of one engine", "Say which (engine=), once for each of them");
    }
    Status fits = compare(subject, given[i], *known[takers[0]].at(given[i].name));
    if (!fits.ok()) return std::move(fits).failure();
    assigned[takers[0]].push_back(i);
  }
  return assigned;
}

}  // namespace torchtrt_ws
