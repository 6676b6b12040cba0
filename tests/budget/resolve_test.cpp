#include "budget/resolve.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "budget/written.h"
#include "core/files.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

using Json = nlohmann::json;

std::vector<Option> options_of(const Json& rows) {
  std::vector<Option> options;
  for (const auto& row : rows) {
    Option option{row.at(0).get<std::string>(), {}};
    const Json& value = row.at(1);
    if (value.is_boolean()) option.value = value.get<bool>();
    if (value.is_number_integer()) option.value = value.get<int>();
    if (value.is_string()) option.value = value.get<std::string>();
    options.push_back(std::move(option));
  }
  return options;
}

std::vector<BakedSpec> baked_of(const Json& rows) {
  std::vector<BakedSpec> specs;
  for (const auto& row : rows) specs.push_back({row.at(0).get<std::string>(), row.at(1).get<std::string>()});
  return specs;
}

std::optional<int64_t> maybe(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional<int64_t>(value.get<int64_t>());
}

struct Called {
  int times = 0;
  int64_t reserve = -1;
};

EngineFacts facts_of(const Json& row, Called& called) {
  EngineFacts facts{row.at("streamable").get<int64_t>(), row.at("scratch").get<int64_t>(), std::nullopt, nullptr};
  if (row.contains("shares")) {
    const Json& shares = row.at("shares");
    facts.shares = Shares{shares.at("engines").get<int>(), maybe(shares.at("engine_streamable")),
                          maybe(shares.at("program_streamable"))};
  }
  if (row.contains("automatic")) {
    facts.automatic = [answer = row.at("automatic"), &called](int64_t reserve) -> Result<int64_t> {
      ++called.times;
      called.reserve = reserve;
      if (answer.is_number()) return answer.get<int64_t>();
      return Failure{ErrorCode::EngineFault, "automatic budget", answer.get<std::string>(), "", ""};
    };
  }
  return facts;
}

Result<Resolution> run(const Json& row, Called& called) {
  auto request = read_request(options_of(row.value("options", Json::array())),
                              baked_of(row.value("baked", Json::array())), row.value("engine", "forward"));
  if (!request.ok()) return request.failure();
  auto process = read_request(options_of(row.value("process", Json::array())), {}, "");
  if (!process.ok()) return process.failure();
  request.value().process = process.value().general;
  if (row.contains("environment")) {
    auto environment = read_written_budget(kBudgetVariable, row.at("environment").get<std::string>());
    if (!environment.ok()) return environment.failure();
    request.value().environment = environment.value();
  }
  return resolve(request.value(), facts_of(row.at("facts"), called));
}

void expect_failure(const Result<Resolution>& result, const Json& want) {
  ASSERT_FALSE(result.ok()) << "resolved to " << result.value().bytes.value_or(-1);
  EXPECT_EQ(error_code_name(result.failure().code), want.value("code", "BadOption"));
  const std::string message = result.failure().message();
  for (const auto& part : want.at("error")) {
    EXPECT_NE(message.find(part.get<std::string>()), std::string::npos) << part << " is not in: " << message;
  }
}

void expect_resolution(const Result<Resolution>& result, const Json& want, const Called& called) {
  ASSERT_TRUE(result.ok()) << result.failure().message();
  const Resolution& got = result.value();
  EXPECT_EQ(got.bytes, maybe(want.at("bytes")));
  EXPECT_EQ(source_name(got.source), want.at("source").get<std::string>());
  if (want.contains("requested")) {
    EXPECT_EQ(got.requested, want.at("requested").get<std::string>());
  }
  if (want.contains("explicit")) {
    EXPECT_EQ(got.explicit_bytes, want.at("explicit").get<bool>());
  }
  if (want.contains("automatic")) {
    EXPECT_EQ(got.automatic, want.at("automatic").get<bool>());
  }
  // The engine's own choice may cost a device query: asked once, and only where it counts.
  EXPECT_EQ(called.times, want.contains("reserve") ? 1 : 0);
  if (want.contains("reserve")) {
    EXPECT_EQ(called.reserve, want.at("reserve").get<int64_t>());
  }

  const Json notes = want.value("notes", Json::array());
  std::string all;
  for (const auto& note : got.notes) all += "\n  " + note;
  ASSERT_EQ(got.notes.size(), notes.size()) << all;
  for (std::size_t i = 0; i < notes.size(); ++i) {
    for (const auto& part : notes[i]) {
      EXPECT_NE(got.notes[i].find(part.get<std::string>()), std::string::npos)
          << part << " is not in: " << got.notes[i];
    }
    const bool warns = !notes[i].empty() && notes[i][0].get<std::string>().rfind("warning: ", 0) == 0;
    EXPECT_EQ(got.notes[i].rfind("warning: ", 0) == 0, warns) << got.notes[i];
  }
}

TEST(Resolve, Table) {
  std::size_t rows = 0;
  for (const auto& row : testing::read_table("budget/resolve_cases.json")) {
    SCOPED_TRACE(row.at("why").get<std::string>());
    Called called;
    const auto result = run(row, called);
    const Json& want = row.at("want");
    if (want.contains("error")) {
      expect_failure(result, want);
    } else {
      expect_resolution(result, want, called);
    }
    ++rows;
  }
  EXPECT_GE(rows, 80U);
}

/// The budgets of engines that share one total, in a program that recorded their sizes.
int64_t sum_of_parts(int64_t total, const std::vector<int64_t>& streamable) {
  int64_t whole = 0;
  for (const int64_t bytes : streamable) whole += bytes;
  Request request;
  request.general = Total{total};
  int64_t sum = 0;
  for (const int64_t bytes : streamable) {
    const EngineFacts facts{bytes, 0, Shares{static_cast<int>(streamable.size()), bytes, whole}, nullptr};
    sum += resolve(request, facts).value().bytes.value_or(0);
  }
  return sum;
}

TEST(Resolve, PartsOfATotalNeverSumToMore) {
  const std::vector<int64_t> streamable = {1, 3, 333333333333, 7777777777777, 1000003};
  const int64_t whole = 1 + 3 + 333333333333 + 7777777777777 + 1000003;
  for (const int64_t total : {int64_t{0}, int64_t{1}, int64_t{4}, int64_t{999999937}, whole / 3, whole - 1}) {
    const int64_t sum = sum_of_parts(total, streamable);
    EXPECT_LE(sum, total);
    EXPECT_GT(sum, total - static_cast<int64_t>(streamable.size())) << "floors lose less than a byte each";
  }
  EXPECT_EQ(sum_of_parts(whole, streamable), whole);
  EXPECT_EQ(sum_of_parts(INT64_MAX, streamable), whole);
}

TEST(Resolve, DerivedBudgetsAreNeverInTheHole) {
  constexpr int64_t kStreamable = 1000, kScratch = 130;
  for (int percent = 0; percent <= 100; ++percent) {
    Request request;
    request.general = Percent{percent};
    const int64_t bytes = resolve(request, {kStreamable, kScratch, std::nullopt, nullptr}).value().bytes.value();
    EXPECT_TRUE(bytes == kStreamable || bytes + kScratch < kStreamable) << percent;
    EXPECT_GE(bytes, kStreamable * percent / 100) << percent;
  }
}

TEST(Resolve, EverySourceHasItsName) {
  for (int source = 0; source <= static_cast<int>(Source::None); ++source) {
    EXPECT_STRNE(source_name(static_cast<Source>(source)), "unknown source") << source;
  }
}

}  // namespace
}  // namespace torchtrt_ws
