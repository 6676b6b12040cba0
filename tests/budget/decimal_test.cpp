#include "budget/decimal.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "core/files.h"

namespace torchtrt_ws {
namespace {

TEST(ParseDecimal, Table) {
  for (const auto& row : testing::read_table("budget/decimal_cases.json")) {
    SCOPED_TRACE(row.at("why").get<std::string>());
    const std::string text =
        row.contains("hex") ? testing::from_hex(row.at("hex").get<std::string>()) : row.at("text").get<std::string>();
    const auto result = parse_decimal("key", text.data(), text.size());
    if (row.at("want").is_number()) {
      ASSERT_TRUE(result.ok()) << result.failure().message();
      EXPECT_EQ(result.value(), row.at("want").get<int64_t>());
    } else {
      ASSERT_FALSE(result.ok()) << result.value();
      EXPECT_EQ(result.failure().code, ErrorCode::BadOption);
    }
  }
}

TEST(ParseDecimal, ReadsNoByteBehindTheValue) {
  // A heap block of exactly that size: under ASan a read past it fails.
  const auto value = std::make_unique<char[]>(3);
  std::copy_n("104", 3, value.get());
  EXPECT_EQ(parse_decimal("key", value.get(), 3).value(), 104);
  EXPECT_EQ(parse_decimal("key", value.get(), 2).value(), 10);
}

TEST(ParseDecimal, NullIsEmpty) {
  const auto result = parse_decimal("key", nullptr, 0);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(
      result.failure().message(),
      "key: found an empty value; expected decimal digits only, 0 to 9223372036854775807. Write the number of bytes "
      "as digits: 1 GiB is 1073741824; units, signs and spaces are not read here.");
}

TEST(ParseDecimal, MessagesQuoteWhatWasFound) {
  EXPECT_EQ(parse_decimal("key\n", "1\x00", 2).failure().subject, "key\\n");
  EXPECT_EQ(parse_decimal("key", "1\x00", 2).failure().found, "\"1\\x00\"");
  EXPECT_EQ(parse_decimal("key", "9223372036854775808", 19).failure().found,
            "\"9223372036854775808\", which is too large");
  const std::string trailing = "99999999999999999999999999 GiB";
  EXPECT_EQ(parse_decimal("key", trailing.data(), trailing.size()).failure().found, "\"" + trailing + "\"");
  const std::string much(100000, 'x');
  EXPECT_LT(parse_decimal("key", much.data(), much.size()).failure().message().size(), 400U);
}

}  // namespace
}  // namespace torchtrt_ws
