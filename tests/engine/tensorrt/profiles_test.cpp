// Which optimization profile a call runs in.
#include "engine/tensorrt/profiles.h"

#include <gtest/gtest.h>

#include <limits>

namespace torchtrt_ws::tensorrt {
namespace {

using Sizes = std::vector<int32_t>;

/// Profiles of inputs "x", "y", ...: bounds[profile][input].
Profiles profiles_of(std::vector<std::vector<Bounds>> bounds) {
  std::vector<std::string> names;
  for (size_t i = 0; i < bounds[0].size(); ++i) names.push_back(std::string(1, static_cast<char>('x' + i)));
  return {std::move(names), std::move(bounds)};
}

/// Of one input [rows, 4].
Profiles of_rows(const std::vector<std::pair<int64_t, int64_t>>& rows) {
  std::vector<std::vector<Bounds>> bounds;
  for (const auto& [low, high] : rows) bounds.push_back({{{low, 4}, {high, 4}}});
  return profiles_of(std::move(bounds));
}

Result<size_t> choose(const Profiles& profiles, const std::vector<Sizes>& sizes, std::optional<size_t> in_force = {}) {
  std::vector<Shape> shapes;
  for (const Sizes& each : sizes) shapes.push_back({each.data(), each.size()});
  return profiles.choose("engine 'a'", shapes, in_force);
}

struct Case {
  const char* name;
  std::vector<std::pair<int64_t, int64_t>> rows;
  std::optional<size_t> in_force;
  int32_t asked;
  std::optional<size_t> chosen;
};

TEST(ChooseProfile, Table) {
  const std::vector<Case> cases = {
      {"the only one", {{1, 8}}, 0, 8, 0},
      {"apart, the first", {{1, 2}, {4, 8}}, 1, 2, 0},
      {"apart, the second", {{1, 2}, {4, 8}}, 0, 4, 1},
      {"apart, between them", {{1, 2}, {4, 8}}, 0, 3, std::nullopt},
      {"below all", {{2, 4}, {4, 8}}, 0, 1, std::nullopt},
      {"above all", {{2, 4}, {4, 8}}, 0, 9, std::nullopt},
      {"the tighter one, though the other is in force", {{1, 8}, {1, 2}}, 0, 2, 1},
      {"the tighter one comes first", {{1, 2}, {1, 8}}, 1, 1, 0},
      {"the wide one where the tight one is too small", {{1, 8}, {1, 2}}, 1, 3, 0},
      {"as tight: the one in force", {{1, 8}, {2, 8}, {1, 8}}, 1, 4, 1},
      {"as tight: the last is in force", {{1, 8}, {2, 8}, {1, 8}}, 2, 4, 2},
      {"as tight, another in force: the first", {{1, 8}, {1, 8}, {9, 9}}, 2, 4, 0},
      {"as tight, none in force: the first", {{1, 8}, {1, 8}}, std::nullopt, 4, 0},
      {"the one in force is as tight, but does not hold it", {{1, 8}, {4, 8}}, 1, 3, 0},
      {"no rows", {{0, 8}, {1, 8}}, 1, 0, 0},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    const auto chosen = choose(of_rows(each.rows), {{each.asked, 4}}, each.in_force);
    EXPECT_EQ(chosen.ok(), each.chosen.has_value());
    if (chosen.ok()) {
      EXPECT_EQ(chosen.value(), each.chosen);
    } else {
      EXPECT_EQ(chosen.failure().code, ErrorCode::BadArgument);
    }
  }
}

TEST(ChooseProfile, AllInputsCount) {
  const Profiles profiles = profiles_of({{{{1}, {4}}, {{1}, {9}}}, {{{1}, {8}}, {{1}, {2}}}});
  EXPECT_EQ(choose(profiles, {{4}, {9}}).value(), 0u);
  EXPECT_EQ(choose(profiles, {{5}, {2}}).value(), 1u);
  EXPECT_EQ(choose(profiles, {{4}, {2}}).value(), 1u) << "8 + 2 elements are fewer than 4 + 9";
  EXPECT_FALSE(choose(profiles, {{5}, {3}}).ok()) << "each input is in some profile, but not in the same";
}

TEST(ChooseProfile, ScalarsAndOtherRanks) {
  const Profiles profiles = profiles_of({{{{}, {}}}, {{{}, {}}}});
  EXPECT_EQ(choose(profiles, {{}}, 1).value(), 1u);
  EXPECT_FALSE(choose(profiles, {{1}}).ok());
}

TEST(ChooseProfile, SizesThatOverflowAreTheWidest) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const Profiles profiles = profiles_of({{{{1, 1}, {kMost, 4}}}, {{{1, 1}, {kMost / 2, 1}}}, {{{1, 1}, {kMost, 8}}}});
  EXPECT_EQ(choose(profiles, {{1, 1}}, 0).value(), 1u);
  EXPECT_EQ(choose(profiles, {{1, 2}}, 2).value(), 2u) << "both are past counting: it stays";
  EXPECT_EQ(choose(profiles, {{1, 2}}, std::nullopt).value(), 0u);
  const Profiles empty = profiles_of({{{{0, 1}, {kMost, 4}}}, {{{0, 1}, {0, kMost}}}});
  EXPECT_EQ(choose(empty, {{0, 1}}).value(), 1u) << "no elements at most";
}

TEST(ChooseProfile, TheFailureNamesShapesAndProfiles) {
  const Profiles profiles = profiles_of({{{{1, 8}, {4, 8}}, {{1}, {1}}}, {{{16, 8}, {16, 8}}, {{2}, {3}}}});
  const auto chosen = choose(profiles, {{7, 8}, {1}});
  ASSERT_FALSE(chosen.ok());
  EXPECT_EQ(chosen.failure().message(),
            "engine 'a': found inputs \"x\" [7, 8], \"y\" [1]; expected shapes that one of its optimization profiles "
            "holds: 0: \"x\" [1..4, 8], \"y\" [1]; 1: \"x\" [16, 8], \"y\" [2..3]. Pass such shapes, or build the "
            "engine with a profile for these.");
}

TEST(ProfilesHull, IsWhatOneOrAnotherHolds) {
  const Profiles profiles = profiles_of({{{{2, 8}, {4, 8}}}, {{{1, 16}, {1, 32}}}, {{{3, 4}, {3, 4}}}});
  const Bounds hull = profiles.hull(0);
  EXPECT_EQ(hull.min, (std::vector<int64_t>{1, 4}));
  EXPECT_EQ(hull.max, (std::vector<int64_t>{4, 32}));
}

}  // namespace
}  // namespace torchtrt_ws::tensorrt
