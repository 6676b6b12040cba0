// Which engine takes which new weight: names, dtypes and sizes alone.

#include "delegate/assign_weights.h"

#include <gtest/gtest.h>

namespace torchtrt_ws::testing {
namespace {

using Assigned = std::vector<std::vector<std::size_t>>;

const float kData[4] = {};

NewWeight floats(const std::string& name, int64_t count = 2) { return {name, "float32", count, kData, 4 * count}; }

std::vector<WeightsCopy> two() {
  return {{"encoder", {{"in", "float32", 2, 8}, {"both", "float32", 2, 8}}},
          {"decoder, decoder1", {{"both", "float32", 2, 8}, {"out", "float16", 4, 8}, {"bias", "float32", 2, 8}}}};
}

TEST(AssignWeights, EachGoesWhereItIsKnown) {
  const auto assigned = assign_weights({floats("bias"), floats("in"), {"out", "float16", 4, kData, 8}}, two());
  ASSERT_TRUE(assigned.ok()) << assigned.failure().message();
  EXPECT_EQ(assigned.value(), (Assigned{{1}, {0, 2}}));
  EXPECT_EQ(assign_weights({floats("both")}, {two()[0]}).value(), Assigned{{0}});
}

TEST(AssignWeights, WhatDoesNotFitIsNamed) {
  struct Case {
    std::vector<NewWeight> given;
    const char *subject, *words;
  };
  NewWeight nowhere = floats("in");
  nowhere.data = nullptr;
  NewWeight cut = floats("in");
  cut.bytes = 7;
  const std::vector<Case> cases = {
      {{}, "weights", "engine 'encoder' takes 2: \"in\", \"both\"; engine 'decoder, decoder1' takes 3"},
      {{floats("in"), floats("inn")}, "weight \"inn\"", "no engine that takes it"},
      {{floats("both")}, "weight \"both\"", "engines 'encoder' and 'decoder, decoder1' take it"},
      {{floats("in"), floats("in")}, "weight \"in\"", "it twice"},
      {{{"in", "float16", 2, kData, 4}}, "weight \"in\"", "found float16; expected float32"},
      {{floats("in", 3)}, "weight \"in\"", "found 3 elements; expected 2"},
      {{cut}, "weight \"in\"", "found 7 bytes; expected 8 of 2 elements of float32"},
      {{nowhere}, "weight \"in\"", "no data"},
  };
  for (const Case& each : cases) {
    const auto assigned = assign_weights(each.given, two());
    ASSERT_FALSE(assigned.ok()) << each.words;
    EXPECT_EQ(assigned.failure().code, ErrorCode::BadArgument);
    EXPECT_EQ(assigned.failure().subject, each.subject);
    EXPECT_NE(assigned.failure().message().find(each.words), std::string::npos) << assigned.failure().message();
    EXPECT_FALSE(assigned.failure().next_step.empty());
  }
}

}  // namespace
}  // namespace torchtrt_ws::testing
