#include "budget/request.h"

#include <gtest/gtest.h>

namespace torchtrt_ws {
namespace {

TEST(ReadRequest, KeepsEveryFormByItsType) {
  auto general = [](const char* key) { return read_request({{key, std::string("7")}}, {}, "e").value().general; };
  EXPECT_EQ(std::get<Bytes>(general("weight_streaming_budget")).value, 7);
  EXPECT_EQ(std::get<Total>(general("weight_streaming_total_budget")).value, 7);
  EXPECT_EQ(std::get<Percent>(general("weight_streaming_percent")).value, 7);
  EXPECT_EQ(std::get<Reserve>(general("weight_streaming_reserve")).value, 7);
}

TEST(ReadRequest, KeepsAllThreeSources) {
  const auto request = read_request({{"weight_streaming_budget.e", 1}, {"weight_streaming_budget", 2}},
                                    {{"weight_streaming_budget", "3"}}, "e")
                           .value();
  EXPECT_EQ(request.engine->value, 1);
  EXPECT_EQ(std::get<Bytes>(request.general).value, 2);
  EXPECT_EQ(request.baked->value, 3);
  EXPECT_TRUE(request.notes.empty());
}

TEST(ReadRequest, NothingGivenIsNothing) {
  const auto request = read_request({}, {}, "e").value();
  EXPECT_FALSE(request.engine.has_value());
  EXPECT_TRUE(std::holds_alternative<std::monostate>(request.general));
  EXPECT_FALSE(request.baked.has_value());
}

TEST(ReadRequest, MessageNamesKeyFoundAcceptedAndNextStep) {
  const auto failure = read_request({{"weight_streaming_percent", std::string("101")}}, {}, "e").failure();
  EXPECT_EQ(failure.message(),
            "weight_streaming_percent: found \"101\"; expected a whole number from 0 to 100, as decimal digits or an "
            "int. Give the percent of the streamable weights to keep on the device, such as 50.");
}

}  // namespace
}  // namespace torchtrt_ws
