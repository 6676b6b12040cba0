#include "budget/written.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "core/files.h"

namespace torchtrt_ws {
namespace {

std::pair<std::string, int64_t> parts_of(const General& form) {
  if (const auto* total = std::get_if<Total>(&form)) return {"bytes", total->value};
  if (const auto* percent = std::get_if<Percent>(&form)) return {"percent", percent->value};
  if (const auto* reserve = std::get_if<Reserve>(&form)) return {"reserve", reserve->value};
  return {"another form", -1};
}

TEST(ReadWrittenBudget, Table) {
  for (const auto& row : testing::read_table("budget/written_cases.json")) {
    SCOPED_TRACE(row.at("why").get<std::string>());
    const auto read = read_written_budget("the key", row.at("text").get<std::string>());
    if (row.at("want").is_array()) {
      ASSERT_TRUE(read.ok()) << read.failure().message();
      EXPECT_EQ(parts_of(read.value()), (row.at("want").get<std::pair<std::string, int64_t>>()));
    } else {
      ASSERT_FALSE(read.ok());
      EXPECT_EQ(read.failure().code, ErrorCode::BadOption);
    }
  }
}

TEST(ReadWrittenBudget, MessageNamesSubjectFoundAndForms) {
  EXPECT_EQ(
      read_written_budget("THE_VARIABLE", "1GB\n").failure().message(),
      "THE_VARIABLE: found \"1GB\\n\"; expected auto, a number of bytes from 0 to 2^63-1 (1073741824, 1GiB, 512M; "
      "base 2), N% with N from 0 to 100, or free-N with N such a number of bytes. Write one of these.");
}

}  // namespace
}  // namespace torchtrt_ws
