// Outputs whose shape depends on the data, and shape tensors: what they call, copy and keep, and every call of theirs
// that can fail.
#include <map>

#include "standin_support.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::testing {
namespace {

/// y int64 [2, n]: where x is not 0; z float32 [k[0], k[1]]: the row r again and again.
constexpr const char* kBoth =
    "input x float32 1,4 8,4 8,4\n"
    "input r float32 1,4 1,4 1,4\n"
    "input k int32 2 2 2 host\n"
    "values k 1,4 4,4 8,4\n"
    "output y int64 nonzero 0 x\n"
    "output z float32 affine 1 2*r shape k\n";

const std::vector<Binding>& both_bindings() {
  static const std::vector<Binding> bindings = {{"x", "float32", {-1, 4}, true},
                                                {"r", "float32", {1, 4}, true},
                                                {"k", "int32", {2}, true},
                                                {"y", "int64", {2, -1}, false},
                                                {"z", "float32", {-1, -1}, false}};
  return bindings;
}

class StandinData : public Adapter {
 protected:
  static Result<std::unique_ptr<Engine>> open(const std::string& io, const std::vector<Binding>& bindings,
                                              GraphUse cuda_graph = GraphUse::Off) {
    PlanText text;
    text.io = io;
    OpenOptions options;
    options.cuda_graph = cuda_graph;
    return open_plan(plan_bytes(text), metadata_of(bindings), options);
  }

  /// One call with x of `rows`, every second element not 0, and k of as many rows.
  static Status run_both(Engine& engine, SizesType rows, Where where) {
    Tensor x(ScalarType::Float, {rows, 4}, where), r = make_x(1, rows, where), k(ScalarType::Int, {2}, where);
    Tensor y(ScalarType::Long, {2, 32}, where), z(ScalarType::Float, {8, 4}, where);
    std::vector<float> values(static_cast<size_t>(rows) * 4);
    std::vector<int64_t> row_of, column_of;
    for (size_t i = 0; i < values.size(); i += 2) {
      values[i] = 3;
      row_of.push_back(static_cast<int64_t>(i / 4));
      column_of.push_back(static_cast<int64_t>(i % 4));
    }
    row_of.insert(row_of.end(), column_of.begin(), column_of.end());
    x.put(values);
    k.put(std::vector<int32_t>{rows, 4});
    Sink sink({&y, &z});
    Status ran = engine.run({x.view(), r.view(), k.view()}, sink);
    if (!ran.ok()) return ran;
    EXPECT_EQ(y.sizes, (std::vector<SizesType>{2, rows * 2}));
    EXPECT_EQ(y.get<int64_t>(), row_of);
    EXPECT_EQ(z.sizes, (std::vector<SizesType>{rows, 4}));
    const auto row = r.get<float>(), all = z.get<float>();
    for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], 2 * row[i % 4] + 1);
    return ok_status();
  }
};

TEST_F(StandinData, AnEngineWithSuchOutputsIsNeverCaptured) {
  auto engine = made_ready(open(kBoth, both_bindings(), GraphUse::On));
  ASSERT_NE(engine, nullptr);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(is_ok(run_both(*engine, 4, Where::Pageable)));
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 0);
  EXPECT_EQ(engine->counters().graph_hits, 0u);
}

TEST_F(StandinData, ValuesThatStayAreCapturedAndOthersEndTheGraph) {
  auto engine = made_ready(open(
      "input r float32 1,4 1,4 1,4\ninput k int64 2 2 2 host\nvalues k 1,4 4,4 8,4\n"
      "output z float32 affine 1 2*r shape k\n",
      {{"r", "float32", {1, 4}, true}, {"k", "int64", {2}, true}, {"z", "float32", {-1, -1}, false}}, GraphUse::On));
  ASSERT_NE(engine, nullptr);
  Tensor r = make_x(1, 3), k(ScalarType::Long, {2}, Where::Pageable), z = make_y(8);
  Sink sink({&z});
  const auto call = [&](int64_t rows) {
    k.put(std::vector<int64_t>{rows, 4});
    ASSERT_TRUE(is_ok(engine->run({r.view(), k.view()}, sink)));
    ASSERT_EQ(z.sizes[0], rows);
  };
  for (int i = 0; i < 40; ++i) call(8);
  EXPECT_EQ(standin_calls("cudaStreamBeginCapture"), 1);
  EXPECT_EQ(standin_live("graph_exec"), 1);
  EXPECT_GT(engine->counters().graph_hits, 10u);
  const int64_t asked = standin_calls("inferShapes");
  call(8);
  EXPECT_EQ(standin_calls("inferShapes"), asked) << "nothing changed";
  call(3);
  EXPECT_EQ(standin_live("graph_exec"), 0);
  EXPECT_EQ(standin_calls("inferShapes"), asked + 1);
}

// TensorRT may read them until the run is done (NvInferRuntime.h, enqueueV3): the stand-in looks whether they stay.
TEST_F(StandinData, ValuesStayWhileARunThatHasThemIsInFlight) {
  auto engine =
      made_ready(open("input r float32 1,4 1,4 1,4\ninput k int32 2 2 2 host\nvalues k 1,4 4,4 8,4\n"
                      "output z float32 affine 1 2*r shape k\n",
                      {{"r", "float32", {1, 4}, true}, {"k", "int32", {2}, true}, {"z", "float32", {-1, -1}, false}}));
  ASSERT_NE(engine, nullptr);
  Stream stream;
  Tensor r = make_x(1, 3), k(ScalarType::Int, {2}, Where::Pageable), z = make_y(8);
  Sink sink({&z});
  CallerStreamGuard guard(stream);
  const auto waits_of_call = [&](int32_t rows) {
    const int64_t before = standin_calls("cudaEventSynchronize") + standin_calls("cudaStreamSynchronize");
    k.put(std::vector<int32_t>{rows, 4});
    EXPECT_TRUE(is_ok(engine->run({r.view(), k.view()}, sink)));
    return standin_calls("cudaEventSynchronize") + standin_calls("cudaStreamSynchronize") - before;
  };
  EXPECT_EQ(waits_of_call(8), 0) << "none is in flight";
  EXPECT_EQ(waits_of_call(8), 0) << "the same values";
  EXPECT_EQ(waits_of_call(3), 1) << "other values";
  EXPECT_EQ(waits_of_call(3), 0);
  synchronize(stream);
  EXPECT_EQ(z.sizes[0], 3);
  expect_no_misuse();
}

TEST_F(StandinData, MemoryForSuchOutputsGrowsIsReportedAndGivenBack) {
  auto engine = made_ready(open("input x float32 1,4 8,4 8,4\noutput y int64 nonzero 0 x\n",
                                {{"x", "float32", {-1, 4}, true}, {"y", "int64", {2, -1}, false}}));
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(engine->outputs()[0].max, (std::vector<int64_t>{2, 32}));
  const int64_t before = engine->device_bytes();
  Tensor x = make_x(8, 1), y(ScalarType::Long, {2, 32});
  Sink sink({&y});
  ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  EXPECT_GE(engine->device_bytes() - before, static_cast<int64_t>(y.nbytes()));
  const int64_t allocations = standin_calls("cudaMalloc");
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  EXPECT_EQ(standin_calls("cudaMalloc"), allocations) << "it is kept";
  engine->drop_context();
  engine->release_staging();
  ASSERT_TRUE(is_ok(engine->make_context()));
  EXPECT_LE(engine->device_bytes(), before);
}

// Each kind of memory to come is counted for itself: what such an output has taken makes staging no smaller.
TEST_F(StandinData, MemoryForSuchOutputsIsNotTakenForStaging) {
  auto engine = made_ready(open("input x float32 1,4 8,4 8,4\noutput y int64 nonzero 0 x\n",
                                {{"x", "float32", {-1, 4}, true}, {"y", "int64", {2, -1}, false}}));
  ASSERT_NE(engine, nullptr);
  Tensor x(ScalarType::Float, {8, 4}), host_x(ScalarType::Float, {8, 4}, Where::Pageable), y(ScalarType::Long, {2, 32});
  for (Tensor* each : {&x, &host_x}) each->put(std::vector<float>(32, 1));  // the most that are not 0
  Sink sink({&y});
  const int64_t all = engine->memory().staging;
  const auto run_takes = [&](const Tensor& input) {
    const int64_t held = standin_live_bytes("device");
    EXPECT_TRUE(is_ok(engine->run({input.view()}, sink)));
    return standin_live_bytes("device") - held;
  };
  const int64_t for_output = run_takes(x);
  EXPECT_GT(for_output, 0);
  const int64_t to_come = engine->memory().staging;
  EXPECT_EQ(to_come, all - for_output);
  EXPECT_EQ(run_takes(host_x), to_come);
  EXPECT_GT(to_come, 0);
  EXPECT_EQ(engine->memory().staging, 0);
}

TEST_F(StandinData, NoMemoryForAnOutputIsNoFaultOfTensorRT) {
  auto engine = made_ready(open(kBoth, both_bindings()));
  ASSERT_NE(engine, nullptr);
  ASSERT_TRUE(is_ok(run_both(*engine, 1, Where::Device)));
  standin_fail("cudaMalloc", 1, 1, cudaErrorMemoryAllocation);
  failed_with(run_both(*engine, 8, Where::Device), ErrorCode::DoesNotFit);
  standin_clear_faults();
  EXPECT_TRUE(is_ok(run_both(*engine, 8, Where::Device)));
}

TEST_F(StandinData, EveryFunctionAtEveryCall) {
  std::string function;
  int64_t nth = 0;
  int failures = 0;
  const auto attempt = [&failures](const char* what, const auto& step) {
    Status first = step();
    if (first.ok()) return;
    ++failures;
    const ErrorCode code = first.failure().code;
    EXPECT_TRUE(code == ErrorCode::EngineFault || code == ErrorCode::DoesNotFit || code == ErrorCode::Incompatible ||
                code == ErrorCode::BadEngine || code == ErrorCode::NotSupported)
        << what << ": " << first.failure().message();
    EXPECT_TRUE(is_ok(step())) << what << ", the second try";
  };
  const auto scenario = [&] {
    failures = 0;
    std::unique_ptr<Engine> engine;
    if (!function.empty()) standin_fail(function.c_str(), nth, 1, 0);
    attempt("open", [&]() -> Status {
      auto opened = open(kBoth, both_bindings());
      if (!opened.ok()) return opened.failure();
      engine = std::move(opened).value();
      return ok_status();
    });
    ASSERT_NE(engine, nullptr);
    attempt("make_context", [&] { return engine->make_context(); });
    for (const SizesType rows : {2, 8}) {
      attempt("run", [&] { return run_both(*engine, rows, Where::Device); });
      attempt("run", [&] { return run_both(*engine, rows, Where::Pageable); });
    }
    standin_clear_faults();
  };
  scenario();
  ASSERT_EQ(failures, 0) << "without a fault";
  std::map<std::string, int64_t> calls;
  for (int i = 0; i < standin_function_count(); ++i) {
    const std::string name = standin_function_name(i);
    if (standin_can_fail(name.c_str()) != 0) calls[name] = standin_calls(name.c_str());
  }
  EXPECT_EQ(calls.count("setOutputAllocator") + calls.count("getMaxOutputSize"), 2u);
  EXPECT_EQ(calls.count("getProfileTensorValuesV2"), 1u);
  int reported = 0;
  for (const auto& [name, count] : calls) {
    function = name;
    for (nth = 1; nth <= std::min<int64_t>(count, 40); ++nth) {
      SCOPED_TRACE(name + " fails at call " + std::to_string(nth));
      standin_reset();
      scenario();
      reported += failures;
      EXPECT_EQ(standin_misuses(), 0) << standin_misuse(0);
      (void)cudaSetDevice(0);
      if (HasFailure()) return;  // one story is enough
    }
  }
  EXPECT_GT(reported, 30);
}

TEST_F(StandinData, ShapeTensorsThatCannotBePassedAreRefused) {
  const std::vector<Binding> bindings = {{"k", "int64", {2}, true}, {"y", "float32", {2}, false}};
  const std::string message =
      failed_with(open("input k int64 2 2 2 host\noutput y float32 affine 0 k\n", bindings), ErrorCode::Incompatible);
  EXPECT_NE(message.find("without bounds"), std::string::npos) << message;
  const std::vector<Binding> floats = {{"k", "float32", {2}, true}, {"y", "float32", {2}, false}};
  failed_with(open("input k float32 2 2 2 host\nvalues k 1,1 2,2 2,2\noutput y float32 affine 0 k\n", floats),
              ErrorCode::Incompatible);
}

}  // namespace
}  // namespace torchtrt_ws::testing
