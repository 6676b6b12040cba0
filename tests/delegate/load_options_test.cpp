// The builder of load-time options: the keys it writes, and its errors.

#include "torchtrt_ws/load_options.h"

#include <gtest/gtest.h>

#include <map>

namespace torchtrt_ws::testing {
namespace {

using executorch::runtime::Error;

/// Keys and values that are strings.
std::map<std::string, std::string> texts(LoadOptions options) {
  std::map<std::string, std::string> all;
  for (const auto& option : options.view()) {
    const auto* text = std::get_if<std::array<char, executorch::runtime::kMaxOptionValueLength>>(&option.value);
    if (text != nullptr) all[option.key] = text->data();
  }
  return all;
}

TEST(LoadOptions, EachSetterWritesItsKey) {
  LoadOptions options;
  options.set_total_budget(1).set_budget_per_engine(2).set_budget("e", 3).set_percent(4).set_reserve(5);
  options.set_device_id(6).add_text("other", "x");
  EXPECT_EQ(options.error(), Error::Ok);
  EXPECT_EQ(texts(options), (std::map<std::string, std::string>{{"weight_streaming_total_budget", "1"},
                                                                {"weight_streaming_budget", "2"},
                                                                {"weight_streaming_budget.e", "3"},
                                                                {"weight_streaming_percent", "4"},
                                                                {"weight_streaming_reserve", "5"},
                                                                {"device_id", "6"},
                                                                {"other", "x"}}));
}

TEST(LoadOptions, TheBuilderKeepsItsFirstError) {
  EXPECT_EQ(LoadOptions().set_budget_per_engine(-1).error(), Error::InvalidArgument);
  EXPECT_EQ(LoadOptions().set_total_budget(-1).error(), Error::InvalidArgument);
  EXPECT_EQ(LoadOptions().set_percent(101).error(), Error::InvalidArgument);
  EXPECT_EQ(LoadOptions().set_budget(std::string(40, 'e'), 1).error(), Error::InvalidArgument);
  EXPECT_EQ(LoadOptions().add_text("k", std::string(256, 'x')).error(), Error::InvalidArgument);
  EXPECT_EQ(LoadOptions().set_percent(-1).set_percent(50).error(), Error::InvalidArgument);
  EXPECT_EQ(LoadOptions().set_budget(std::string(39, 'e'), 1).set_reserve(0).error(), Error::Ok);
}

}  // namespace
}  // namespace torchtrt_ws::testing
