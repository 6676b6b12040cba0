// Every CUDA and TensorRT function that can fail, failed at every call of a load and some runs: no crash, no leak, a
// clear failure or none, right results, and the next try works.
#include <algorithm>
#include <map>

#include "standin_support.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::testing {
namespace {

struct Scene {
  const char* name;
  bool cuda_graph;
  bool callers_stream;
  Where where;
  size_t misalign;
  int device;  // the engine's; device 0 is current

  friend void PrintTo(const Scene& scene, std::ostream* out) { *out << scene.name; }
};

class Faults : public Adapter, public ::testing::WithParamInterface<Scene> {
 protected:
  /// Does one step; after a failure once more, without a fault. Failures must be clear.
  template <typename Step>
  void attempt(const char* what, Step step) {
    Status first = step();
    if (first.ok()) return;
    const Failure& failure = first.failure();
    EXPECT_FALSE(failure.subject.empty() || failure.found.empty() || failure.next_step.empty()) << what;
    EXPECT_TRUE(failure.code == ErrorCode::EngineFault || failure.code == ErrorCode::DoesNotFit ||
                failure.code == ErrorCode::NotSupported || failure.code == ErrorCode::Incompatible ||
                failure.code == ErrorCode::BadEngine)
        << what << ": " << error_code_name(failure.code) << ": " << failure.message();
    ++failures_;
    EXPECT_TRUE(is_ok(step())) << what << ", the second try";
  }

  Status run(Engine& engine, SizesType rows, int seed, void* stream) {
    const Scene& scene = GetParam();
    Tensor x(ScalarType::Float, {rows, width()}, scene.where, scene.misalign, scene.device);
    Tensor y(ScalarType::Float, {kMostRows, width()}, scene.where, scene.misalign, scene.device);
    fill_x(x, seed);
    Sink sink({&y});
    for (int repeat = 0; repeat < 4; ++repeat) {
      std::optional<CallerStreamGuard> guard;
      if (stream != nullptr) guard.emplace(stream);
      Status ran = engine.run({x.view()}, sink);
      if (!ran.ok()) return ran;
      if (stream != nullptr) synchronize(stream);
      EXPECT_TRUE(is_answer(y, rows, seed)) << "a run that says it worked did";
    }
    return ok_status();
  }

  static std::unique_ptr<Stream> callers_stream() {
    if (!GetParam().callers_stream) return nullptr;
    const TestsOwn own;
    EXPECT_EQ(cudaSetDevice(GetParam().device), cudaSuccess);
    auto stream = std::make_unique<Stream>();
    EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
    return stream;
  }

  void scenario() {
    failures_ = 0;
    OpenOptions options;
    options.cuda_graph = GetParam().cuda_graph;
    options.device_id = GetParam().device;
    const std::unique_ptr<Stream> stream = callers_stream();
    void* handle = stream != nullptr ? static_cast<cudaStream_t>(*stream) : nullptr;
    std::unique_ptr<Engine> engine;
    arm();
    attempt("open", [&]() -> Status {
      auto opened = open({}, options);
      if (!opened.ok()) return opened.failure();
      engine = std::move(opened).value();
      return ok_status();
    });
    ASSERT_NE(engine, nullptr);
    attempt("automatic_budget", [&]() -> Status {
      auto budget = engine->automatic_budget(kMiB);
      if (!budget.ok()) return budget.failure();
      return ok_status();
    });
    for (const int64_t budget : {32 * kMiB, 64 * kMiB, int64_t{0}}) {
      attempt("set_budget", [&] { return engine->set_budget(budget); });
      EXPECT_EQ(engine->budget(), budget);
      attempt("make_context", [&] { return engine->make_context(); });
      for (const SizesType rows : {2, 8}) attempt("run", [&] { return run(*engine, rows, rows, handle); });
      (void)engine->memory();
      (void)engine->device_bytes();
      engine->drop_context();
    }
    engine.reset();
    standin_clear_faults();
  }

  void arm() {
    if (!function_.empty()) standin_fail(function_.c_str(), nth_, 1, error_);
  }

  std::string function_;
  int64_t nth_ = 0;
  int error_ = 0;
  int failures_ = 0;
};

TEST_P(Faults, EveryFunctionAtEveryCall) {
  scenario();
  ASSERT_EQ(failures_, 0) << "without a fault";
  std::map<std::string, int64_t> calls;
  for (int i = 0; i < standin_function_count(); ++i) {
    const std::string name = standin_function_name(i);
    if (standin_can_fail(name.c_str()) != 0) calls[name] = standin_calls(name.c_str());
  }
  ASSERT_GE(calls.size(), 12u);
  const auto before = live_objects();
  int injected = 0, reported = 0;
  for (const auto& [name, count] : calls) {
    function_ = name;
    const std::vector<int> errors =
        name.compare(0, 4, "cuda") == 0 ? std::vector<int>{0, cudaErrorMemoryAllocation} : std::vector<int>{0};
    for (const int error : errors) {
      error_ = error;
      for (nth_ = 1; nth_ <= std::min<int64_t>(count, 60); ++nth_) {
        SCOPED_TRACE(name + " fails at call " + std::to_string(nth_) + " with error " + std::to_string(error));
        standin_reset();
        scenario();
        injected += standin_injected() > 0;
        reported += failures_;
        EXPECT_EQ(misuses(), std::vector<std::string>{});
        EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "an error is left behind for the program's own checks";
        if (name != "cudaGetDevice" && name != "cudaSetDevice") {
          EXPECT_EQ(current_device(), 0) << "was not restored";
        }
        EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
        EXPECT_EQ(live_objects(), before) << "something is left over";
        if (HasFailure()) return;  // one story is enough
      }
    }
  }
  function_.clear();
  EXPECT_GT(injected, 100);
  EXPECT_GT(reported, 30);
  RecordProperty("functions", static_cast<int>(calls.size()));
  RecordProperty("injected", injected);
  RecordProperty("reported", reported);
}

INSTANTIATE_TEST_SUITE_P(Scenes, Faults,
                         ::testing::Values(Scene{"device", false, false, Where::Device, 0, 0},
                                           Scene{"host", false, false, Where::Pageable, 0, 0},
                                           Scene{"stream", false, true, Where::Device, 0, 0},
                                           Scene{"unaligned", false, true, Where::Device, 16, 0},
                                           Scene{"graph", true, false, Where::Device, 0, 0},
                                           Scene{"graph_on_stream", true, true, Where::Device, 0, 0},
                                           Scene{"other_device", true, true, Where::Device, 16, 1},
                                           Scene{"other_device_host", false, false, Where::Pageable, 0, 1}),
                         [](const auto& scene) { return std::string(scene.param.name); });

TEST_F(Adapter, AfterAFailedRunTheNextOneWorksOnOtherTensorsToo) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(runs(*engine, 4));
  Tensor x = make_x(4), y = make_y(4);
  Sink sink({&y});
  standin_fail("enqueueV3", 1, 1, 0);
  failed_with(engine->run({x.view()}, sink), ErrorCode::EngineFault);
  EXPECT_TRUE(runs(*engine, 8, 3, Where::Pageable, Where::Pageable));
  EXPECT_TRUE(runs(*engine, 4, 4));
}

TEST_F(Adapter, AFaultThatShowsWhenWaitingIsReported) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(4), y = make_y(4);
  Sink sink({&y});
  standin_fail("cudaStreamSynchronize", 1, 1, cudaErrorIllegalAddress);
  const std::string message = failed_with(engine->run({x.view()}, sink), ErrorCode::EngineFault);
  EXPECT_NE(message.find("illegal memory access"), std::string::npos) << message;
  EXPECT_TRUE(runs(*engine, 4, 4));
}

TEST_F(Adapter, StagingThatDoesNotFitIsSaid) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(8, 0, Where::Pageable), y = make_y(8, Where::Pageable);
  Sink sink({&y});
  standin_fail("cudaMallocHost", 1, 1, 0);
  failed_with(engine->run({x.view()}, sink), ErrorCode::DoesNotFit);
  standin_clear_faults();
  EXPECT_TRUE(runs(*engine, 8, 1, Where::Pageable, Where::Pageable));
}

}  // namespace
}  // namespace torchtrt_ws::testing
