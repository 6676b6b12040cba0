// Acceptance: two engines on one plan, each with a context of its own.
#include <thread>

#include "acceptance.h"

namespace torchtrt_ws::testing {
namespace {

class ShareTest : public Acceptance {
 protected:
  static Result<std::unique_ptr<Engine>> share(const Engine& engine) {
    const Metadata metadata = acceptance_metadata();
    const std::string name = "second";
    Payload not_needed(nullptr, 0, nullptr);
    return engine.share(not_needed, {metadata, name, {}, GraphUse::Off});
  }

  /// Two engines on one plan, ready to run at `budget`.
  void open_two(int64_t budget) {
    first_ = ready({}, budget);
    ASSERT_NE(first_, nullptr);
    auto second = share(*first_);
    ASSERT_TRUE(is_ok(second));
    second_ = std::move(second).value();
    ASSERT_NE(second_, nullptr);
    ASSERT_TRUE(is_ok(second_->make_context()));
  }

  std::unique_ptr<Engine> first_, second_;
};

TEST_F(ShareTest, BothRunAtEveryBudget) {
  const int64_t all = ready()->streamable_bytes();
  for (const int64_t budget : {all, all / 2, int64_t{0}}) {
    open_two(budget);
    EXPECT_EQ(second_->weights(), first_->weights());
    EXPECT_EQ(second_->budget(), budget);
    EXPECT_TRUE(runs(*first_, 3, 1));
    EXPECT_TRUE(runs(*second_, 8, 2));
    EXPECT_TRUE(runs(*first_, 1, 3));
  }
}

TEST_F(ShareTest, WeightsCountOnce) {
  const int64_t all = ready()->streamable_bytes();
  for (const int64_t budget : {all, int64_t{0}}) {
    open_two(budget);
    EXPECT_GE(first_->memory().held, budget);
    EXPECT_EQ(second_->memory().streamable, 0);
    EXPECT_EQ(second_->memory().held, first_->memory().held - budget) << "a context, and its scratch";
    EXPECT_LE(second_->device_bytes() + budget, first_->device_bytes());
    const int64_t before = first_->device_bytes();
    first_.reset();
    EXPECT_EQ(second_->device_bytes(), before) << "now it is the one that counts them";
    EXPECT_TRUE(runs(*second_, 2));
  }
}

TEST_F(ShareTest, ABudgetChangesWhileNeitherHasAContext) {
  open_two(0);
  first_->drop_context();
  failed_with(first_->set_budget(first_->streamable_bytes()), ErrorCode::WrongState);
  second_->drop_context();
  ASSERT_TRUE(is_ok(first_->set_budget(first_->streamable_bytes())));
  ASSERT_TRUE(is_ok(second_->make_context()));
  ASSERT_TRUE(is_ok(first_->make_context()));
  EXPECT_EQ(second_->budget(), second_->streamable_bytes());
  EXPECT_TRUE(runs(*first_, 4, 4));
  EXPECT_TRUE(runs(*second_, 5, 5));
}

TEST_F(ShareTest, BothRunFromTwoThreads) {
  open_two(0);
  const auto work = [](Engine* engine, int seed) {
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(runs(*engine, 1 + i % 8, seed + i));
  };
  std::thread other(work, second_.get(), 50);
  work(first_.get(), 0);
  other.join();
}

}  // namespace
}  // namespace torchtrt_ws::testing
