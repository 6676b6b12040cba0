// What ExecuTorch's get_option() answers.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "fake_engine.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

std::string get_option(const std::string& key) {
  executorch::runtime::BackendOption option{};
  std::copy(key.begin(), key.end(), option.key);
  option.value = 0;
  if (executorch::runtime::get_option(kBackendId, {&option, 1}) != Error::Ok) return "refused";
  return std::get<std::array<char, executorch::runtime::kMaxOptionValueLength>>(option.value).data();
}

TEST(AnswerOptions, NamesBudgetsAndReports) {
  reset_device();
  device().free = 10000;
  Loaded a(make_blob("a"), {{"weight_streaming_budget", 300}}), b(make_blob("b"));
  EXPECT_EQ(get_option("engines"), "a,b");
  EXPECT_EQ(get_option("weight_streaming_budget.a"), "300");
  EXPECT_NE(get_option("engine.b").find("\"source\":\"automatic\""), std::string::npos) << get_option("engine.b");
  EXPECT_EQ(get_option("weight_streaming_budget.c"), "refused");
  EXPECT_EQ(get_option("something"), "refused");
}

}  // namespace
}  // namespace torchtrt_ws::testing
