#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

#include "base/quote.h"

namespace torchtrt_ws {
namespace {

TEST(Failure, MessageHasFoundExpectedAndNextStep) {
  const Failure failure{ErrorCode::BadOption, "weight_streaming_budget", "\"12x\"", "digits", "Write bytes as digits"};
  EXPECT_EQ(failure.message(), "weight_streaming_budget: found \"12x\"; expected digits. Write bytes as digits.");
}

TEST(Failure, EmptyPartsAreLeftOut) {
  EXPECT_EQ((Failure{ErrorCode::DoesNotFit, "a.pte", "", "", "Free some memory."}.message()),
            "a.pte. Free some memory.");
  EXPECT_EQ((Failure{ErrorCode::DoesNotFit, "a.pte", "", "a file", ""}.message()), "a.pte: expected a file.");
  EXPECT_EQ((Failure{ErrorCode::DoesNotFit, "a.pte", "nothing", "", ""}.message()), "a.pte: found nothing.");
  EXPECT_EQ((Failure{ErrorCode::DoesNotFit, "", "nothing", "a file", ""}.message()), "found nothing; expected a file.");
  EXPECT_EQ((Failure{ErrorCode::DoesNotFit, "", "", "", ""}.message()), "");
}

TEST(Failure, EveryCodeHasItsName) {
  for (int code = 0; code <= static_cast<int>(ErrorCode::WrongState); ++code) {
    EXPECT_STRNE(error_code_name(static_cast<ErrorCode>(code)), "unknown error code") << code;
  }
}

TEST(Result, HoldsAValueOrAFailure) {
  Result<int> good = 7;
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(good.value(), 7);

  const Result<int> bad = Failure{ErrorCode::WrongState, "engine", "", "", ""};
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.failure().subject, "engine");
  EXPECT_TRUE(ok_status().ok());
}

TEST(Result, GivesUpWhatOnlyMoves) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 5);
}

TEST(Quote, EscapesWhatWouldBreakALogLine) {
  EXPECT_EQ(in_quotes("plain"), "\"plain\"");
  EXPECT_EQ(in_quotes("a\nb\tc\r"), "\"a\\nb\\tc\\r\"");
  EXPECT_EQ(in_quotes("say \"hi\" \\"), "\"say \\\"hi\\\" \\\\\"");
  EXPECT_EQ(in_quotes(std::string_view("1\0", 2)), "\"1\\x00\"");
  EXPECT_EQ(in_quotes("\x1b[31m\x7f\xff"), "\"\\x1b[31m\\x7f\\xff\"");
  EXPECT_EQ(escaped("key\n"), "key\\n");
}

TEST(Quote, CutsWhatIsLong) {
  EXPECT_EQ(in_quotes("123456", 6), "\"123456\"");
  EXPECT_EQ(in_quotes("1234567", 6), "\"123456\"... (7 bytes)");
  EXPECT_EQ(in_quotes(std::string(1000, 'x')).size(), kQuotedBytes + 2 + std::string("... (1000 bytes)").size());
}

}  // namespace
}  // namespace torchtrt_ws
