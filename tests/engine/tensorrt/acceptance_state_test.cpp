// Acceptance: buffers that an engine keeps from call to call. Here the sum of all x: y = 2 * sum + 1.
#include <numeric>

#include "acceptance.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::testing {
namespace {

constexpr SizesType kRows = 4;

class State : public Acceptance {
 protected:
  void SetUp() override {
    Acceptance::SetUp();
    if (state_plan().empty()) GTEST_SKIP() << "TORCHTRT_WS_TEST_STATE names no plan";
  }

  static Metadata metadata() {
    Metadata metadata =
        metadata_of({{"x", "float32", {kRows, width()}, true}, {"y", "float32", {kRows, width()}, false}});
    metadata.own.emplace();
    metadata.own->keeps_state = true;
    metadata.own->state = {{"sum", "sum_after", "float32", {kRows, width()}}};
    for (const auto& [tensors, name] :
         {std::pair{&metadata.own->inputs, "x"}, std::pair{&metadata.own->outputs, "y"}}) {
      tensors->push_back({name, "float32", {kRows, width()}, {kRows, width()}, {kRows, width()}});
    }
    return metadata;
  }

  static std::unique_ptr<Engine> opened(const OpenOptions& options = {}) {
    auto engine = open_plan(state_plan(), metadata(), options);
    EXPECT_TRUE(is_ok(engine));
    if (!engine.ok()) return nullptr;
    EXPECT_TRUE(is_ok(engine.value()->make_context()));
    return std::move(engine).value();
  }

  /// One call with an x that is `value` everywhere; y must be 2 * `sum` + 1.
  static ::testing::AssertionResult adds(Engine& engine, float value, float sum, Where where = Where::Device) {
    const auto count = static_cast<size_t>(kRows) * static_cast<size_t>(width());
    Tensor x(ScalarType::Float, {kRows, width()}, where);
    Tensor y(ScalarType::Float, {kRows, width()}, where);
    x.put(std::vector<float>(count, value));
    Sink sink({&y});
    Status ran = engine.run({x.view()}, sink);
    if (!ran.ok()) return is_ok(ran);
    for (const float found : y.get<float>()) {
      if (found != 2 * sum + 1) return ::testing::AssertionFailure() << found << ", not " << 2 * sum + 1;
    }
    return ::testing::AssertionSuccess();
  }
};

TEST_F(State, BeginsWithZerosAndLasts) {
  auto engine = opened();
  ASSERT_NE(engine, nullptr);
  ASSERT_EQ(engine->inputs().size(), 1u);
  ASSERT_EQ(engine->outputs().size(), 1u);
  float sum = 0;
  for (const Where where : {Where::Device, Where::Pageable, Where::Device, Where::Pinned}) {
    for (const float value : {1.0f, 2.0f, 4.0f}) ASSERT_TRUE(adds(*engine, value, sum += value, where));
  }
}

TEST_F(State, LastsThroughChangesOfTheBudget) {
  auto engine = opened();
  ASSERT_NE(engine, nullptr);
  float sum = 0;
  for (const int64_t share : {0, 2, 4, 1}) {
    engine->drop_context();
    engine->release_staging();
    ASSERT_TRUE(is_ok(engine->set_budget(engine->streamable_bytes() * share / 4)));
    ASSERT_TRUE(is_ok(engine->make_context()));
    for (const float value : {1.0f, 3.0f}) ASSERT_TRUE(adds(*engine, value, sum += value));
  }
}

TEST_F(State, IsZerosAgainWhenReset) {
  auto engine = opened();
  ASSERT_NE(engine, nullptr);
  ASSERT_TRUE(adds(*engine, 5, 5));
  ASSERT_TRUE(is_ok(engine->reset_state()));
  ASSERT_TRUE(adds(*engine, 1, 1));
  engine->drop_context();
  ASSERT_TRUE(is_ok(engine->reset_state())) << "without a context too";
  ASSERT_TRUE(is_ok(engine->make_context()));
  ASSERT_TRUE(adds(*engine, 2, 2));
}

TEST_F(State, OfEnginesOnTheSameWeightsIsEachOnesOwn) {
  auto engine = opened();
  ASSERT_NE(engine, nullptr);
  const Metadata described = metadata();
  Payload none(nullptr, 0, [] {});
  const std::string name = "second";
  auto second = engine->share(
      none, OpenRequest{described, name, std::nullopt, GraphUse::Off, Verify::Off, nullptr, false, kDefaultMargin});
  ASSERT_TRUE(is_ok(second));
  ASSERT_NE(second.value(), nullptr);
  ASSERT_TRUE(is_ok(second.value()->make_context()));
  ASSERT_TRUE(adds(*engine, 5, 5));
  ASSERT_TRUE(adds(*second.value(), 1, 1));
  ASSERT_TRUE(adds(*engine, 1, 6));
}

TEST_F(State, IsRightInRunsThatReturnEarly) {
  auto engine = opened();
  ASSERT_NE(engine, nullptr);
  const Stream one, other;
  Tensor x(ScalarType::Float, {kRows, width()}), y(ScalarType::Float, {kRows, width()});
  x.put(std::vector<float>(static_cast<size_t>(kRows) * static_cast<size_t>(width()), 1));
  for (int call = 0; call < 40; ++call) {
    Sink sink({&y});
    const CallerStreamGuard guard(static_cast<cudaStream_t>(call % 3 == 0 ? other : one));
    ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  }
  ASSERT_TRUE(adds(*engine, 0, 40));
  {
    Sink sink({&y});
    const CallerStreamGuard guard(static_cast<cudaStream_t>(one));
    ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  }
  ASSERT_TRUE(is_ok(engine->reset_state())) << "waits for it";
  ASSERT_TRUE(adds(*engine, 3, 3));
}

TEST_F(State, IsRightInCudaGraphs) {
  OpenOptions options;
  options.cuda_graph = GraphUse::On;
  auto engine = opened(options);
  ASSERT_NE(engine, nullptr);
  Tensor x(ScalarType::Float, {kRows, width()}), y(ScalarType::Float, {kRows, width()});
  x.put(std::vector<float>(static_cast<size_t>(kRows) * static_cast<size_t>(width()), 1));
  for (int call = 1; call <= 20; ++call) {
    if (call == 12) {
      ASSERT_TRUE(is_ok(engine->reset_state()));
    }
    Sink sink({&y});
    ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
    const auto sum = static_cast<float>(call < 12 ? call : call - 11);
    EXPECT_EQ(y.get<float>()[0], 2 * sum + 1) << "call " << call;
  }
  EXPECT_GT(engine->counters().graph_hits, 0u);
}

TEST_F(State, AdvancesWithTheCallersGraph) {
  auto engine = opened();
  ASSERT_NE(engine, nullptr);
  const Stream stream;
  Tensor x(ScalarType::Float, {kRows, width()}), y(ScalarType::Float, {kRows, width()});
  x.put(std::vector<float>(static_cast<size_t>(kRows) * static_cast<size_t>(width()), 1));
  const auto run = [&] {
    Sink sink({&y});
    const CallerStreamGuard guard(static_cast<cudaStream_t>(stream));
    return engine->run({x.view()}, sink);
  };
  ASSERT_TRUE(is_ok(run()));
  synchronize(stream);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t replay = nullptr;
  {
    const TestsOwn own;
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  }
  ASSERT_TRUE(is_ok(run()));
  {
    const TestsOwn own;
    ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    ASSERT_EQ(cudaGraphInstantiate(&replay, graph, 0), cudaSuccess);
    for (int call = 0; call < 5; ++call) EXPECT_EQ(cudaGraphLaunch(replay, stream), cudaSuccess);
  }
  synchronize(stream);
  EXPECT_EQ(y.get<float>()[0], 2 * 6 + 1);
  {
    const TestsOwn own;
    EXPECT_EQ(cudaGraphExecDestroy(replay), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  }
  ASSERT_TRUE(adds(*engine, 1, 7));
}

TEST_F(State, ThatTheEngineDoesNotHaveIsRefused) {
  for (const StateTensor& wrong : {StateTensor{"nothing", "sum_after", "float32", {kRows, width()}},
                                   StateTensor{"sum", "nothing", "float32", {kRows, width()}},
                                   StateTensor{"sum_after", "sum", "float32", {kRows, width()}},
                                   StateTensor{"sum", "sum_after", "float32", {kRows, width() + 1}}}) {
    Metadata contradicting = metadata();
    contradicting.own->state = {wrong};
    failed_with(open_plan(state_plan(), contradicting), ErrorCode::BadBlob);
  }
  Metadata without = metadata();
  without.own->state.clear();
  const std::string message = failed_with(open_plan(state_plan(), without), ErrorCode::BadBlob);
  EXPECT_NE(message.find("4, as many as the engine has"), std::string::npos) << message;
}

}  // namespace
}  // namespace torchtrt_ws::testing
