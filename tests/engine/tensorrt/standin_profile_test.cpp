// Optimization profiles: which one a call runs in, what a switch costs, and what becomes of one that fails.
#include "standin_support.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::testing {
namespace {

constexpr const char* kSwitch = "setOptimizationProfileAsync";

class ProfileCalls : public Adapter {
 protected:
  /// x of [rows, 4] in profiles of 1 to 8, 1 to 2 and 2 to 8 rows.
  static PlanText nested() {
    PlanText text;
    text.io =
        "input x float32 1,4 8,4 8,4\nprofile x 1,4 2,4 2,4\nprofile x 2,4 8,4 8,4\n"
        "output y float32 affine 1.0 2.0*x\n";
    return text;
  }

  /// Switches that a run with so many rows makes.
  static int64_t switches(Engine& engine, SizesType rows, int seed = 0) {
    const int64_t before = standin_calls(kSwitch);
    EXPECT_TRUE(runs(engine, rows, seed));
    return standin_calls(kSwitch) - before;
  }
};

TEST_F(ProfileCalls, ARunSwitchesToTheTightestAndOnlyThen) {
  auto engine = ready(nested());
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(switches(*engine, 8), 0) << "0 is in force, and 2 is as tight";
  EXPECT_EQ(switches(*engine, 3), 0);
  EXPECT_EQ(switches(*engine, 2), 1) << "1 is tighter";
  EXPECT_EQ(switches(*engine, 2), 0);
  EXPECT_EQ(switches(*engine, 1), 0);
  EXPECT_EQ(switches(*engine, 4), 1);
  EXPECT_EQ(switches(*engine, 8), 0);
}

TEST_F(ProfileCalls, OneProfileIsNeverSwitched) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  for (const SizesType rows : {1, 8, 3}) EXPECT_EQ(switches(*engine, rows), 0);
  EXPECT_EQ(standin_calls(kSwitch), 0);
}

TEST_F(ProfileCalls, OutputsAreBoundedByAllProfiles) {
  PlanText text;
  text.io =
      "input x float32 2,4 2,4 2,4\nprofile x 1,3 1,5 1,9\nprofile x 3,1 5,1 5,2\ninput z float32 7 7 7\n"
      "output y float32 affine 1 1*x\noutput s float32 sum 0 1*z\n";
  auto engine = made_ready(open_plan(plan_bytes(text), metadata_of({{"x", "float32", {-1, -1}, true},
                                                                    {"z", "float32", {7}, true},
                                                                    {"y", "float32", {-1, -1}, false},
                                                                    {"s", "float32", {}, false}})));
  ASSERT_NE(engine, nullptr);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(engine->inputs()[0].min, (std::vector<int64_t>{1, 1}));
    EXPECT_EQ(engine->inputs()[0].max, (std::vector<int64_t>{5, 9}));
    EXPECT_EQ(engine->inputs()[1].max, (std::vector<int64_t>{7}));
    EXPECT_EQ(engine->outputs()[0].min, (std::vector<int64_t>{1, 1}));
    EXPECT_EQ(engine->outputs()[0].max, (std::vector<int64_t>{5, 9}));
    engine->drop_context();
    ASSERT_TRUE(is_ok(engine->make_context())) << "again, from what is known";
  }
}

TEST_F(ProfileCalls, ASwitchOnACallersStreamDoesNotWait) {
  auto engine = ready(nested());
  ASSERT_NE(engine, nullptr);
  Stream first, second;
  std::vector<Tensor> xs, ys;
  const std::vector<SizesType> rows = {8, 2, 4, 1};
  for (size_t i = 0; i < rows.size(); ++i) {
    xs.push_back(make_x(rows[i], static_cast<int>(i)));
    ys.push_back(make_y(8));
  }
  standin_reset();
  for (size_t i = 0; i < rows.size(); ++i) {
    CallerStreamGuard guard(i % 2 == 0 ? first : second);
    Sink sink({&ys[i]});
    ASSERT_TRUE(is_ok(engine->run({xs[i].view()}, sink)));
  }
  EXPECT_EQ(standin_calls(kSwitch), 3);
  for (const char* function : {"cudaStreamSynchronize", "cudaEventSynchronize", "cudaDeviceSynchronize"}) {
    EXPECT_EQ(standin_calls(function), 0) << function;
  }
  synchronize(second);
  synchronize(first);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_TRUE(is_answer(ys[i], rows[i], static_cast<int>(i)));
}

TEST_F(ProfileCalls, ASwitchThatNoRunFollowedIsOrderedWithTheNextStream) {
  auto engine = ready(nested());
  ASSERT_NE(engine, nullptr);
  Stream first, second;
  Tensor x = make_x(2, 1), y = make_y(8), small(ScalarType::Float, {1, 4});
  {
    CallerStreamGuard guard(first);
    Sink sink({&small});
    failed_with(engine->run({x.view()}, sink), ErrorCode::BadArgument);  // after the switch: the output is too small
  }
  CallerStreamGuard guard(second);
  Sink sink({&y});
  ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  synchronize(second);
  EXPECT_TRUE(is_answer(y, 2, 1));
}

TEST_F(ProfileCalls, AfterAFailedSwitchTheNextCallStartsAfresh) {
  for (const SizesType next : {8, 2}) {
    auto engine = ready(nested());
    ASSERT_NE(engine, nullptr);
    EXPECT_TRUE(runs(*engine, 8, 1));
    Tensor x = make_x(2), y = make_y(2);
    Sink sink({&y});
    standin_fail(kSwitch, 1, 1, cudaErrorLaunchFailure);
    const std::string message = failed_with(engine->run({x.view()}, sink), ErrorCode::EngineFault);
    EXPECT_NE(message.find(kSwitch), std::string::npos) << message;
    EXPECT_NE(message.find("unspecified launch failure"), std::string::npos) << message;
    EXPECT_EQ(switches(*engine, next, 3), 1) << "which one is in force is not known";
    EXPECT_EQ(switches(*engine, next, 4), 0);
  }
}

TEST_F(ProfileCalls, ASwitchThatFailsWhileTheContextIsMadeLeavesNone) {
  auto engine = open(nested());
  ASSERT_TRUE(is_ok(engine));
  for (int call = 1; call <= 3; ++call) {
    standin_fail(kSwitch, call, 1, 0);
    failed_with(engine.value()->make_context(), ErrorCode::EngineFault);
    EXPECT_FALSE(engine.value()->has_context());
  }
  ASSERT_TRUE(is_ok(engine.value()->make_context()));
  EXPECT_TRUE(runs(*engine.value(), 8, 1));
}

TEST_F(ProfileCalls, AGraphIsReplayedInItsProfileOnly) {
  OpenOptions options;
  options.cuda_graph = GraphUse::On;
  auto engine = ready(nested(), options);
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(8), y = make_y(8);
  Sink sink({&y});
  int seed = 0;
  for (const SizesType rows : {2, 8, 2}) {
    x.sizes[0] = rows;
    standin_reset();
    for (int i = 0; i < 20; ++i) {  // a graph that did not pay makes the next one wait
      fill_x(x, ++seed);
      ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
      EXPECT_TRUE(is_answer(y, rows, seed));
    }
    EXPECT_EQ(standin_calls(kSwitch), 1);
    EXPECT_GT(standin_calls("cudaGraphLaunch"), 0);
    EXPECT_EQ(misuses(), std::vector<std::string>{});
  }
}

TEST_F(ProfileCalls, AContextHasMemoryForTheLargestProfile) {
  PlanText text = nested();
  text.extra = "context 1048576 6291456 2097152\n";
  OpenOptions options;
  options.program = this;
  for (const OpenOptions& each : {OpenOptions{}, options}) {
    auto engine = ready(text, each);
    ASSERT_NE(engine, nullptr);
    EXPECT_EQ(engine->memory().context, 6 * kMiB);
    for (const SizesType rows : {8, 2, 8}) EXPECT_TRUE(runs(*engine, rows, rows));
  }
}

TEST_F(ProfileCalls, StagingIsPlannedForTheProfileThatNeedsMost) {
  PlanText text;
  text.io =
      "input x float32 1,4 8,4 8,4\nprofile x 1,4 1,1024 1,1024\nprofile x 1,4 2,4 2,4\n"
      "output y float32 affine 1 1*x\n";
  const Metadata metadata = metadata_of({{"x", "float32", {-1, -1}, true}, {"y", "float32", {-1, -1}, false}});
  auto engine = open_plan(plan_bytes(text), metadata);
  ASSERT_TRUE(is_ok(engine));
  const int64_t largest = 1024 * sizeof(float);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(is_ok(engine.value()->make_context()));
    EXPECT_EQ(engine.value()->outputs()[0].max, (std::vector<int64_t>{8, 1024})) << "that no call has";
    EXPECT_EQ(engine.value()->memory().staging, 2 * largest);
    engine.value()->drop_context();
  }
}

TEST_F(ProfileCalls, AFormatOfALaterProfileCounts) {
  PlanText text = nested();
  text.io = "input x float32 1,4 8,4 8,4 vectorized:1\nprofile x 1,4 2,4 2,4\noutput y float32 affine 1.0 2.0*x\n";
  const std::string message = failed_with(open(text), ErrorCode::Incompatible);
  EXPECT_NE(message.find("C % 32"), std::string::npos) << message;
}

}  // namespace
}  // namespace torchtrt_ws::testing
