// Acceptance: engines of one program whose contexts work in one block of device memory.
#include <algorithm>
#include <thread>

#include "acceptance.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::testing {
namespace {

class BlockTest : public Acceptance {
 protected:
  /// An engine of the program, ready at `budget`.
  std::unique_ptr<Engine> of_program(int64_t budget = 0, GraphUse cuda_graph = GraphUse::Off) {
    OpenOptions options;
    options.program = this;
    options.cuda_graph = cuda_graph;
    return ready(options, budget);
  }
};

TEST_F(BlockTest, TheSecondContextTakesNothingMore) {
  auto alone = ready({}, 0);
  ASSERT_NE(alone, nullptr);
  const MemoryFacts apart = alone->memory();
  alone.reset();
  auto first = of_program(), second = of_program();
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  const MemoryFacts facts = second->memory();
  EXPECT_TRUE(facts.in_block);
  EXPECT_EQ(facts.context, apart.context);
  EXPECT_EQ(facts.scratch, apart.scratch);
  EXPECT_EQ(facts.shared, apart.context + apart.scratch) << "what the first one needs anyway";
  EXPECT_EQ(facts.held, 0);
  EXPECT_EQ(needed_memory(facts, 0), facts.staging);
  const int64_t block = apart.context + apart.scratch;
  EXPECT_EQ(
      std::max(first->device_bytes(), second->device_bytes()) - std::min(first->device_bytes(), second->device_bytes()),
      block)
      << "one of them counts it";
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(runs(*first, 1 + i, i));
    EXPECT_TRUE(runs(*second, 8 - i, 10 + i));
  }
}

TEST_F(BlockTest, FollowsTheLargestNeed) {
  auto first = of_program(0), second = of_program(INT64_MAX);
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  EXPECT_TRUE(runs(*second, 2, 1));
  const int64_t scratch = first->scratch_bytes();
  EXPECT_EQ(first->memory().held_block, scratch) << "the other needs none: it is resident";
  first->drop_context();
  ASSERT_TRUE(is_ok(first->set_budget(first->streamable_bytes())));
  EXPECT_TRUE(runs(*second, 3, 2)) << "the block is smaller now, and elsewhere";
  ASSERT_TRUE(is_ok(first->make_context()));
  EXPECT_EQ(first->memory().held_block, 0);
  EXPECT_TRUE(runs(*first, 4, 3));
  EXPECT_TRUE(runs(*second, 5, 4));
  first.reset();
  EXPECT_TRUE(runs(*second, 6, 5));
}

TEST_F(BlockTest, RunsOnTwoStreamsAreOrdered) {
  auto first = of_program(), second = of_program();
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  Stream stream, other;
  Tensor x1 = make_x(8, 1), x2 = make_x(8, 2), y1 = make_y(8), y2 = make_y(8);
  Sink sink1({&y1}), sink2({&y2});
  for (int i = 0; i < 5; ++i) {  // neither waits
    const CallerStreamGuard outer(stream);
    ASSERT_TRUE(is_ok(first->run({x1.view()}, sink1)));
    const CallerStreamGuard inner(other);
    ASSERT_TRUE(is_ok(second->run({x2.view()}, sink2)));
  }
  synchronize(stream);
  synchronize(other);
  EXPECT_TRUE(is_answer(y1, 8, 1));
  EXPECT_TRUE(is_answer(y2, 8, 2));
}

TEST_F(BlockTest, RunsFromTwoThreadsTakeTurns) {
  auto first = of_program(), second = of_program();
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  const auto work = [](Engine* engine, int seed) {
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(runs(*engine, 1 + i % 8, seed + i));
  };
  std::thread thread(work, second.get(), 50);
  work(first.get(), 0);
  thread.join();
}

TEST_F(BlockTest, GraphsAreMadeAgainWhenTheBlockMoves) {
  auto first = of_program(0, GraphUse::On);
  ASSERT_NE(first, nullptr);
  Tensor x = make_x(4, 1), y = make_y(4);
  Sink sink({&y});
  const auto call = [&] { return first->run({x.view()}, sink); };
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(is_ok(call()));
  {
    auto second = of_program(0);
    ASSERT_NE(second, nullptr);
    EXPECT_TRUE(runs(*second, 8, 7));
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(is_ok(call()));
    first->drop_context();
    ASSERT_TRUE(is_ok(first->make_context()));
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(is_ok(call()));
  }
  fill_x(x, 9);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(is_ok(call()));
  EXPECT_TRUE(is_answer(y, 4, 9));
}

TEST_F(BlockTest, AnotherProgramHasItsOwn) {
  auto first = of_program();
  OpenOptions options;
  options.program = &options;
  auto second = ready(options, 0);
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->memory().shared, 0);
  EXPECT_EQ(second->memory().held, first->memory().held);
}

}  // namespace
}  // namespace torchtrt_ws::testing
