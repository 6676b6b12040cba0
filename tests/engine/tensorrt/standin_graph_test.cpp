// CUDA graphs: when they are captured, replayed, dropped and given up.
#include "standin_support.h"

namespace torchtrt_ws::testing {
namespace {

class StandinGraph : public Adapter {
 protected:
  static OpenOptions with_graph() {
    OpenOptions options;
    options.cuda_graph = true;
    return options;
  }

  static void run(Engine& engine, Tensor& x, Tensor& y, int times) {
    Sink sink({&y});
    for (int i = 0; i < times; ++i) ASSERT_TRUE(is_ok(engine.run({x.view()}, sink)));
  }
};

TEST_F(StandinGraph, OnlyWhenWanted) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(4), y = make_y(4);
  run(*engine, x, y, 20);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 0);
}

TEST_F(StandinGraph, CapturedOnceAndDroppedWithShapeAddressAndContext) {
  auto engine = ready({}, with_graph());
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(8), y = make_y(8), z = make_y(8);
  run(*engine, x, y, 40);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 1);
  EXPECT_EQ(standin_live("graph_exec"), 1);
  EXPECT_EQ(standin_live("graph"), 0) << "only the executable one is kept";
  x.sizes[0] = 4;
  run(*engine, x, y, 1);
  EXPECT_EQ(standin_live("graph_exec"), 0);
  run(*engine, x, y, 40);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 2);
  run(*engine, x, z, 40);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 3);
  EXPECT_EQ(standin_live("graph_exec"), 1);
  engine->drop_context();
  EXPECT_EQ(standin_live("graph_exec"), 0);
  ASSERT_TRUE(is_ok(engine->set_budget(0)));
  ASSERT_TRUE(is_ok(engine->make_context()));
  run(*engine, x, z, 40);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 4);
}

TEST_F(StandinGraph, ChangingTensorsEveryCallCapturesNothing) {
  auto engine = ready({}, with_graph());
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(4), y = make_y(4), z = make_y(4);
  for (int i = 0; i < 50; ++i) run(*engine, x, i % 2 == 0 ? y : z, 1);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 0);
}

TEST_F(StandinGraph, ARefusedCaptureIsNotTriedAgain) {
  PlanText text;
  text.extra = "capturable 0\n";
  auto engine = ready(text, with_graph());
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(4, 5), y = make_y(4);
  run(*engine, x, y, 30);
  EXPECT_TRUE(is_answer(y, 4, 5));
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 1);
  EXPECT_GE(standin_calls("enqueueV3"), 30);
}

TEST_F(StandinGraph, FailedStepsOfACaptureFallBackToPlainRuns) {
  for (const char* function : {"cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"}) {
    SCOPED_TRACE(function);
    auto engine = ready({}, with_graph());
    ASSERT_NE(engine, nullptr);
    standin_fail(function, 1, 1, 0);
    Tensor x = make_x(4, 6), y = make_y(4);
    run(*engine, x, y, 30);
    EXPECT_TRUE(is_answer(y, 4, 6));
    EXPECT_EQ(standin_live("graph"), 0);
  }
}

TEST_F(StandinGraph, OneEngineCapturesWhileAnotherRuns) {
  auto first = ready({}, with_graph()), second = ready({}, with_graph());
  ASSERT_TRUE(first != nullptr && second != nullptr);
  Tensor x = make_x(4, 1), y = make_y(4), z = make_y(4, Where::Pageable);
  for (int i = 0; i < 20; ++i) {
    run(*first, x, y, 1);
    run(*second, x, z, 1);
  }
  EXPECT_TRUE(is_answer(y, 4, 1));
  EXPECT_TRUE(is_answer(z, 4, 1));
}

}  // namespace
}  // namespace torchtrt_ws::testing
