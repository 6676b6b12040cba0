// CUDA graphs: when they are captured, replayed, dropped and given up.
#include "standin_support.h"

namespace torchtrt_ws::testing {
namespace {

class StandinGraph : public Adapter {
 protected:
  static OpenOptions with_graph(GraphUse use = GraphUse::On) {
    OpenOptions options;
    options.cuda_graph = use;
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

TEST_F(StandinGraph, CapturesThatKeepFailingAreGivenUp) {
  PlanText text;
  text.extra = "capturable 0\n";
  auto engine = ready(text, with_graph());
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(4, 5), y = make_y(4);
  run(*engine, x, y, 200);
  EXPECT_TRUE(is_answer(y, 4, 5));
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 3);
  EXPECT_GE(standin_calls("enqueueV3"), 200);
}

TEST_F(StandinGraph, ACaptureThatAnotherThreadBrokeIsTriedAgain) {
  auto engine = ready({}, with_graph());
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(4, 5), y = make_y(4);
  run(*engine, x, y, 2);
  standin_fail("cudaStreamEndCapture", 1, 2, cudaErrorStreamCaptureInvalidated);
  run(*engine, x, y, 20);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 3);
  EXPECT_EQ(standin_live("graph_exec"), 1);
  EXPECT_TRUE(is_answer(y, 4, 5));
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

TEST_F(StandinGraph, UnaskedItTakesAFewCallsMore) {
  auto asked = ready({}, with_graph()), unasked = ready({}, with_graph(GraphUse::Auto));
  ASSERT_TRUE(asked != nullptr && unasked != nullptr);
  Tensor x = make_x(4, 2), y = make_y(4);
  run(*asked, x, y, 3);
  EXPECT_EQ(standin_live("graph_exec"), 1);
  run(*unasked, x, y, 4);
  EXPECT_EQ(standin_live("graph_exec"), 1);
  run(*unasked, x, y, 1);
  EXPECT_EQ(standin_live("graph_exec"), 2);
  EXPECT_TRUE(is_answer(y, 4, 2));
}

TEST_F(StandinGraph, HostTensorsAreTakenAlongWhateverTheirAddress) {
  auto engine = ready({}, with_graph(GraphUse::Auto));
  ASSERT_NE(engine, nullptr);
  for (int i = 0; i < 20; ++i) {
    Tensor x = make_x(4, i, Where::Pageable), y = make_y(4, Where::Pageable);
    run(*engine, x, y, 1);
    EXPECT_TRUE(is_answer(y, 4, i)) << "call " << i;
  }
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 1);
  EXPECT_EQ(standin_calls("cudaGraphLaunch"), 16);
}

TEST_F(StandinGraph, HostTensorsMayBecomeLargerAndDeviceTensors) {
  auto engine = ready({}, with_graph());
  ASSERT_NE(engine, nullptr);
  for (const SizesType rows : {2, 8, 3}) {  // staging memory grows under the graph
    for (const Where where : {Where::Pageable, Where::Device, Where::Pinned}) {
      Tensor x = make_x(rows, 0, where), y = make_y(rows, where);
      for (int i = 0; i < 12; ++i) {
        fill_x(x, i);
        run(*engine, x, y, 1);
        EXPECT_TRUE(is_answer(y, rows, i)) << rows << " rows, call " << i;
      }
    }
  }
  EXPECT_GT(standin_calls("cudaGraphLaunch"), 6);
}

TEST_F(StandinGraph, UnaskedItLeavesMemoryThatIsShort) {
  auto asked = ready({}, with_graph()), unasked = ready({}, with_graph(GraphUse::Auto));
  ASSERT_TRUE(asked != nullptr && unasked != nullptr);
  Tensor x = make_x(4, 2), y = make_y(4);
  standin_leave_free(0, 39 * kMiB);  // half of the margin, 32 MiB, and one MiB too few for a graph
  const int64_t looks = standin_calls("cudaMemGetInfo");
  run(*unasked, x, y, 30);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 0);
  EXPECT_EQ(standin_calls("cudaMemGetInfo") - looks, 2) << "one costs more than a call: after 4, and 8 more";
  run(*asked, x, y, 30);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 1);
  standin_leave_free(0, 40 * kMiB);
  run(*unasked, x, y, 70);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 2);
  EXPECT_TRUE(is_answer(y, 4, 2));
}

TEST_F(StandinGraph, TheMarginCounts) {
  OpenOptions options = with_graph(GraphUse::Auto);
  options.margin = 0;
  auto engine = ready({}, options);
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(4, 2), y = make_y(4);
  standin_leave_free(0, 8 * kMiB);
  run(*engine, x, y, 5);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 1);
}

TEST_F(StandinGraph, ACaptureWithoutMemoryIsTriedAgainLater) {
  for (const GraphUse use : {GraphUse::On, GraphUse::Auto}) {
    auto engine = ready({}, with_graph(use));
    ASSERT_NE(engine, nullptr);
    Tensor x = make_x(4, 2, Where::Pageable), y = make_y(4, Where::Pageable);
    standin_leave_free(0, 100 * kMiB);
    standin_set("graph_bytes", 101 * kMiB);
    run(*engine, x, y, 10);
    EXPECT_TRUE(is_answer(y, 4, 2));
    EXPECT_EQ(standin_live("graph_exec") + standin_live("graph"), 0);
    standin_set("graph_bytes", 99 * kMiB);
    run(*engine, x, y, 20);
    EXPECT_EQ(standin_live("graph_exec"), 1);
    EXPECT_TRUE(is_answer(y, 4, 2));
    standin_leave_free(0, -1);
  }
}

TEST_F(StandinGraph, ALaunchWithoutMemoryBecomesAPlainRun) {
  auto engine = ready({}, with_graph());
  ASSERT_NE(engine, nullptr);
  for (const Where where : {Where::Device, Where::Pageable}) {
    Tensor x = make_x(4, 2, where), y = make_y(4, where);
    run(*engine, x, y, 40);
    ASSERT_EQ(standin_live("graph_exec"), 1);
    standin_fail("cudaGraphLaunch", 1, 1, cudaErrorMemoryAllocation);
    fill_x(x, 3);
    run(*engine, x, y, 1);
    EXPECT_TRUE(is_answer(y, 4, 3));
    EXPECT_EQ(standin_live("graph_exec"), 0);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
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
