// Acceptance: budgets, as the port documents them. How memory moves byte by byte: standin_budget_test.cpp.
#include "acceptance.h"

namespace torchtrt_ws::testing {
namespace {

class BudgetTest : public Acceptance {
 protected:
  /// Drops the context, sets, and makes the context again.
  static void change(Engine& engine, int64_t budget) {
    engine.drop_context();
    ASSERT_TRUE(is_ok(engine.set_budget(budget)));
    ASSERT_TRUE(is_ok(engine.make_context()));
  }
};

TEST_F(BudgetTest, IsSetReadBackAndRuns) {
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  const int64_t all = engine.streamable_bytes();
  for (const int64_t budget : {all, all / 2, int64_t{0}, all / 4, all}) {
    change(engine, budget);
    EXPECT_EQ(engine.budget(), budget);
    EXPECT_TRUE(runs(engine, 3, static_cast<int>(budget % 40)));
  }
}

TEST_F(BudgetTest, IsClippedToTheStreamableWeights) {
  auto engine = ready({}, INT64_MAX);
  ASSERT_NE(engine, nullptr);
  change(*engine, engine->streamable_bytes() * 2);
  EXPECT_EQ(engine->budget(), engine->streamable_bytes());
}

TEST_F(BudgetTest, IsRefusedWhileAContextLives) {
  auto engine = ready({}, 0);
  ASSERT_NE(engine, nullptr);
  failed_with(engine->set_budget(engine->streamable_bytes()), ErrorCode::WrongState);
  EXPECT_EQ(engine->budget(), 0);
  EXPECT_TRUE(runs(*engine, 1)) << "the refusal changes nothing";
  change(*engine, engine->streamable_bytes());
  EXPECT_TRUE(runs(*engine, 1));
}

TEST_F(BudgetTest, AutomaticBudgetsLieWithinTheWeights) {
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  auto automatic = engine.automatic_budget();
  ASSERT_TRUE(is_ok(automatic));
  EXPECT_GE(automatic.value(), 0);
  EXPECT_LE(automatic.value(), engine.streamable_bytes());
  change(engine, automatic.value());
  EXPECT_TRUE(runs(engine, 2));
  EXPECT_TRUE(is_ok(engine.automatic_budget())) << "also while a context lives";
}

TEST_F(BudgetTest, MemoryFactsAddUp) {
  auto opened = open();
  ASSERT_TRUE(is_ok(opened));
  Engine& engine = *opened.value();
  const int64_t scratch = engine.scratch_bytes();
  const MemoryFacts facts = engine.memory();
  EXPECT_EQ(facts.streamable, engine.streamable_bytes());
  EXPECT_EQ(facts.scratch, scratch);
  EXPECT_GE(facts.context, 0);
  EXPECT_GT(facts.free, 0);
  change(engine, 0);
  const int64_t none = engine.device_bytes();
  EXPECT_EQ(engine.scratch_bytes(), scratch) << "the same with a context";
  change(engine, engine.streamable_bytes());
  EXPECT_EQ(engine.device_bytes() - none, engine.streamable_bytes() - scratch);
}

TEST_F(BudgetTest, DeviceBytesAfterAChangeEqualThoseOfAFreshLoad) {
  auto changed = ready();
  ASSERT_NE(changed, nullptr);
  const int64_t all = changed->streamable_bytes();
  for (const int64_t budget : {int64_t{0}, all / 2, all}) {
    change(*changed, budget);
    auto fresh = ready({}, budget);
    ASSERT_NE(fresh, nullptr);
    (void)fresh->scratch_bytes();
    EXPECT_EQ(changed->device_bytes(), fresh->device_bytes()) << "at a budget of " << budget;
  }
}

TEST_F(BudgetTest, DeviceMemoryComesBackWhenTheEngineGoes) {
  ready();  // what the process keeps for good is made by now
  const int64_t before = free_on_device();
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(runs(*engine, 8, 0, Where::Pageable, Where::Pageable));
  engine.reset();
  EXPECT_EQ(free_on_device(), before);
}

}  // namespace
}  // namespace torchtrt_ws::testing
