// Which of several plans are tried, and in which order.
#include "delegate/variant_order.h"

#include <gtest/gtest.h>

#include <vector>

namespace torchtrt_ws {
namespace {

using Indices = std::vector<std::size_t>;

VariantFacts plan(std::vector<std::string> capabilities, std::string runtime, bool compatible = false) {
  VariantFacts facts;
  facts.offset = 0;
  facts.size = 1;
  facts.compute_capabilities = std::move(capabilities);
  facts.runtime = std::move(runtime);
  facts.hardware_compatible = compatible;
  return facts;
}

constexpr const char* kHere = "tensorrt_rtx 1.6.1";

struct Case {
  const char* what;
  std::vector<VariantFacts> plans;
  Indices tried, left_out;
  Surroundings here = {"9.0", kHere};
};

TEST(VariantOrder, Table) {
  const std::vector<Case> cases = {
      {"the one that names both", {plan({"8.9"}, kHere), plan({"9.0"}, kHere)}, {1}, {0}},
      {"one of several GPUs", {plan({"8.9", "12.0"}, kHere), plan({"8.9", "9.0"}, kHere)}, {1}, {0}},
      {"what is open comes behind", {plan({}, kHere), plan({"9.0"}, kHere), plan({}, "")}, {1, 0, 2}, {}},
      {"a GPU without a runtime is open", {plan({"9.0"}, ""), plan({}, ""), plan({"9.0"}, kHere)}, {2, 0, 1}, {}},
      {"another version is the last", {plan({"9.0"}, "tensorrt_rtx 1.5.0"), plan({}, "")}, {1, 0}, {}},
      {"never another GPU's", {plan({"8.9"}, ""), plan({"7.5"}, kHere)}, {}, {0, 1}},
      {"unless it runs on others", {plan({"8.9"}, kHere, true), plan({"9.0"}, kHere)}, {1, 0}, {}},
      {"equal ones stay in order", {plan({}, ""), plan({}, ""), plan({}, "")}, {0, 1, 2}, {}},
      {"without a device all are open", {plan({"8.9"}, kHere), plan({"9.0"}, kHere)}, {0, 1}, {}, {"", kHere}},
      {"without a library the file's order", {plan({}, ""), plan({"9.0"}, kHere)}, {0, 1}, {}, {"9.0", ""}},
      {"10.0 is not 1.0", {plan({"10.0"}, kHere), plan({"1.0"}, kHere)}, {1}, {0}, {"1.0", kHere}},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    const VariantOrder order = order_variants(each.plans, std::vector<Surroundings>(each.plans.size(), each.here));
    EXPECT_EQ(order.tried, each.tried);
    EXPECT_EQ(order.left_out, each.left_out);
  }
}

TEST(VariantOrder, EachPlanHasItsOwnRuntime) {
  const std::vector<VariantFacts> plans = {plan({}, "tensorrt 11.1.0"), plan({}, kHere)};
  EXPECT_EQ(order_variants(plans, {{"9.0", ""}, {"9.0", kHere}}).tried, (Indices{1, 0})) << "TensorRT is not here";
  EXPECT_EQ(order_variants(plans, {{"9.0", "tensorrt 11.1.0"}, {"9.0", kHere}}).tried, (Indices{0, 1}));
}

TEST(VariantOrder, NamesOnesPlace) {
  const std::vector<VariantFacts> plans = {plan({"8.9"}, kHere), plan({}, "")};
  EXPECT_EQ(variant_name(plans, 0), "1 of 2 (compute capability 8.9, tensorrt_rtx 1.6.1)");
  EXPECT_EQ(variant_name(plans, 1), "2 of 2 (any GPU)");
}

}  // namespace
}  // namespace torchtrt_ws
