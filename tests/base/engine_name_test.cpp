#include "base/engine_name.h"

#include <gtest/gtest.h>

#include <string>

#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

TEST(EngineName, IsOneTo39OfTheNamedCharacters) {
  EXPECT_TRUE(is_engine_name("forward"));
  EXPECT_TRUE(is_engine_name("Tower_2.layer-3"));
  EXPECT_TRUE(is_engine_name(std::string(39, 'x')));
  EXPECT_FALSE(is_engine_name(""));
  EXPECT_FALSE(is_engine_name(std::string(40, 'x')));
  EXPECT_FALSE(is_engine_name("two words"));
  EXPECT_FALSE(is_engine_name("caf\xc3\xa9"));
  EXPECT_FALSE(is_engine_name(std::string_view("a\0", 2)));
}

TEST(EngineName, TheLongestKeyIsWhatExecuTorchHolds) { EXPECT_EQ(kEngineBudgetPrefix.size() + kMaxEngineName, 63U); }

}  // namespace
}  // namespace torchtrt_ws
