#include "engine/adapter_survey.h"

#include <map>
#include <mutex>

namespace torchtrt_ws {
namespace {

struct Surveys {
  std::mutex mutex;  // guards `known`
  std::map<std::string, SurveyMachine> known;
};

Surveys& surveys() {
  static auto* surveys = new Surveys;  // leaked, as the kinds are: adapters register from static initializers
  return *surveys;
}

}  // namespace

bool register_adapter_survey(const char* name, SurveyMachine survey) {
  std::lock_guard<std::mutex> lock(surveys().mutex);
  return surveys().known.emplace(name, survey).second;
}

SurveyMachine find_adapter_survey(const std::string& name) {
  std::lock_guard<std::mutex> lock(surveys().mutex);
  const auto found = surveys().known.find(name);
  return found == surveys().known.end() ? nullptr : found->second;
}

}  // namespace torchtrt_ws
