#include "engine/engine_probe.h"

#include <map>
#include <mutex>
#include <utility>

namespace torchtrt_ws {
namespace {

struct Probes {
  std::mutex mutex;  // guards `known`
  std::map<std::string, ProbeEngine> known;
};

Probes& probes() {
  static auto* probes = new Probes;  // leaked, as the kinds are: adapters register from static initializers
  return *probes;
}

}  // namespace

bool register_engine_probe(const char* name, ProbeEngine probe) {
  std::lock_guard<std::mutex> lock(probes().mutex);
  return probes().known.emplace(name, probe).second;
}

ProbeEngine find_engine_probe(const std::string& name) {
  std::lock_guard<std::mutex> lock(probes().mutex);
  const auto found = probes().known.find(name);
  return found == probes().known.end() ? nullptr : found->second;
}

CheckFact fact_of(std::string name, Verdict verdict, const Failure& failure) {
  std::string found = failure.found;
  if (!failure.expected.empty()) found += "; expected " + failure.expected;
  std::string remedy = failure.next_step;
  if (!remedy.empty() && remedy.back() != '.') remedy += '.';
  return {std::move(name), verdict, std::move(found), std::move(remedy), {}};
}

}  // namespace torchtrt_ws
