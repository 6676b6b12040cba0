// Every CUDA and TensorRT function that can fail, failed at every call of a load, some runs, changes and reports: once,
// from then on, and so that the device is lost. No crash, no leak, a clear failure or none, right results, and the next
// try works; with a lost device that is the next process's.
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
  int device;             // the engine's; device 0 is current
  bool block = false;     // both engines work in one
  bool profiles = false;  // 2, 3 and 8 rows are in profiles of their own
  bool refit = false;     // built as y = 5 * x + 7, and refitted to be as the others

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
    expect_right(what, failure);
    ++failures_;
    EXPECT_TRUE(is_ok(step())) << what << ", the second try";
  }

  /// Neither the program nor its plan is to blame where CUDA or TensorRT fails.
  void expect_right(const char* what, const Failure& failure) {
    const bool fault = failure.code == ErrorCode::EngineFault || failure.code == ErrorCode::DoesNotFit;
    // TensorRT gives no reason that tells them apart: a library that is refused may not work with this driver, and an
    // "Internal Error" may be a damaged plan's.
    const bool opens = std::string_view(what) == "open";
    const bool refused = failure.code == ErrorCode::NotSupported && function_ == "createInferRuntime" && opens;
    const bool unknown = failure.code == ErrorCode::BadEngine && function_ == "deserializeCudaEngine" && opens;
    // Of an engine that answers nothing: its I/O and what the metadata says do not agree.
    const bool no_shape = failure.code == ErrorCode::Incompatible && function_.compare(0, 4, "cuda") != 0;
    EXPECT_TRUE(fault || refused || unknown || no_shape)
        << what << ": " << error_code_name(failure.code) << ": " << failure.message();
  }

  /// Does one step that may fail, once.
  template <typename Step>
  bool perhaps(const char* what, Step step) {
    Status done = step();
    if (done.ok()) return true;
    expect_right(what, done.failure());
    ++failures_;
    return false;
  }

  /// The same life of an engine with a fault that stays. `recovers`: it is gone at the end, and the engine works.
  void broken_scenario(bool recovers) {
    failures_ = 0;
    OpenOptions options;
    options.cuda_graph = graph_use();
    options.device_id = GetParam().device;
    options.program = program();
    const std::unique_ptr<Stream> stream = callers_stream();
    void* handle = stream != nullptr ? static_cast<cudaStream_t>(*stream) : nullptr;
    std::unique_ptr<Engine> engine;
    arm();
    const bool opened = perhaps("open", [&]() -> Status {
      auto made = open(plan(), options);
      if (!made.ok()) return made.failure();
      engine = std::move(made).value();
      return ok_status();
    });
    std::unique_ptr<Engine> second;  // on the same weights
    if (opened) perhaps("share", [&] { return share(*engine, second); });
    const bool whole = opened && (!GetParam().refit || perhaps("refit", [&] { return refit(*engine); }));
    if (opened && !whole) expect_old_or_nothing(*engine);
    for (const int64_t budget : {32 * unit(), 64 * unit(), int64_t{0}}) {
      if (!whole) break;
      perhaps("automatic_budget", [&]() -> Status {
        auto chosen = engine->automatic_budget();
        if (!chosen.ok()) return chosen.failure();
        return ok_status();
      });
      const bool ready = perhaps("set_budget", [&] { return engine->set_budget(budget); }) &&
                         perhaps("make_context", [&] { return engine->make_context(); });
      for (const SizesType rows : {2, 8}) {
        if (ready) perhaps("run", [&] { return run(*engine, rows, rows, handle); });
      }
      if (ready && second != nullptr && perhaps("make_context", [&] { return second->make_context(); })) {
        perhaps("run", [&] { return run(*second, 3, 3, handle); });
        (void)second->memory();
      }
      (void)engine->memory();
      (void)engine->device_bytes();
      (void)engine->scratch_bytes();
      if (second != nullptr) second->drop_context();
      engine->drop_context();
      if (budget == 0) engine->release_staging();
    }
    if (!recovers || !opened) return;
    standin_clear_faults();
    if (second != nullptr) engine = std::move(second);  // it outlives the first
    if (GetParam().refit) {
      EXPECT_TRUE(is_ok(refit(*engine)));
    }
    EXPECT_TRUE(is_ok(engine->set_budget(32 * unit())));
    EXPECT_TRUE(is_ok(engine->make_context()));
    EXPECT_TRUE(is_ok(run(*engine, 4, 4, handle)));
  }

  /// Functions that can fail, and how often a scenario without a fault calls them.
  std::map<std::string, int64_t> calls_of_a_scenario() {
    scenario();
    EXPECT_EQ(failures_, 0) << "without a fault";
    std::map<std::string, int64_t> calls;
    for (int i = 0; i < standin_function_count(); ++i) {
      const std::string name = standin_function_name(i);
      if (standin_can_fail(name.c_str()) != 0) calls[name] = standin_calls(name.c_str());
    }
    EXPECT_GE(calls.size(), 12u);
    return calls;
  }

  /// A fault that stays, at every function and call; then a scenario without one.
  void sweep_that_stays(bool device_is_lost) {
    const auto calls = calls_of_a_scenario();
    const auto before = live_objects();
    int reported = 0;
    times_ = device_is_lost ? 1 : int64_t{1} << 40;
    for (const auto& [name, count] : calls) {
      function_ = name;
      error_ = device_is_lost ? cudaErrorIllegalAddress : 0;
      for (nth_ = 1; nth_ <= std::min<int64_t>(count, 60); ++nth_) {
        SCOPED_TRACE(name + " fails from call " + std::to_string(nth_) + " on");
        standin_reset();
        EXPECT_EQ(standin_set("sticky", device_is_lost), 0);
        broken_scenario(!device_is_lost);
        reported += failures_;
        EXPECT_EQ(misuses(), std::vector<std::string>{});
        standin_reset();
        EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "an error is left behind for the program's own checks";
        EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
        EXPECT_EQ(live_objects(), before) << "something is left over";
        if (HasFailure()) return;  // one story is enough
      }
    }
    function_.clear();
    EXPECT_GT(reported, 30);
    scenario();
    EXPECT_EQ(failures_, 0) << "after all that, without a fault";
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

  /// What budgets are counted in: a plan that takes weights must have them, and is read again and again.
  static int64_t unit() { return GetParam().refit ? 1024 : kMiB; }

  static Status refit(Engine& engine) {
    const float scale = 2, offset = 1;
    auto refitted = engine.refit({{"offset", "float32", 1, &offset, 4}, {"scale", "float32", 1, &scale, 4}});
    if (!refitted.ok()) return std::move(refitted).failure();
    return ok_status();
  }

  /// After a refit that failed: no weights of both kinds.
  static void expect_old_or_nothing(Engine& engine) {
    if (!engine.make_context().ok()) return;
    Tensor x(ScalarType::Float, {2, width()}), y(ScalarType::Float, {kMostRows, width()});
    fill_x(x, 1);
    Sink sink({&y});
    if (engine.run({x.view()}, sink).ok()) {
      const std::vector<float> from = x.get<float>(), found = y.get<float>();
      for (size_t i = 0; i < from.size(); ++i) EXPECT_EQ(found[i], 5 * from[i] + 7);
    }
    engine.drop_context();
  }

  static PlanText plan() {
    PlanText text;
    if (GetParam().refit) {
      text.streamable = 64 * unit();
      text.weights = static_cast<size_t>(text.streamable);
      text.extra = "refittable 2\nweight scale float32 1 0000a040\nweight offset float32 1 0000e040\n";
      text.io = "input x float32 1,4 8,4 8,4\noutput y float32 affine 0 1*x scale scale offset offset\n";
    }
    if (!GetParam().profiles) return text;
    text.io =
        "input x float32 1,4 2,4 2,4\nprofile x 3,4 3,4 3,4\nprofile x 4,4 8,4 8,4\n"
        "output y float32 affine 1.0 2.0*x\n";
    return text;
  }

  static GraphUse graph_use() { return GetParam().cuda_graph ? GraphUse::On : GraphUse::Off; }

  static const void* program() { return GetParam().block ? &GetParam() : nullptr; }

  static Status share(const Engine& engine, std::unique_ptr<Engine>& second) {
    const Metadata metadata = acceptance_metadata();
    const std::string name = "second";
    Payload not_needed(nullptr, 0, nullptr);
    auto shared = engine.share(not_needed, {metadata, name, GetParam().device, graph_use(), Verify::Checksum, program(),
                                            program() != nullptr});
    if (!shared.ok()) return std::move(shared).failure();
    second = std::move(shared).value();
    return ok_status();
  }

  void scenario() {
    failures_ = 0;
    OpenOptions options;
    options.cuda_graph = graph_use();
    options.device_id = GetParam().device;
    options.program = program();
    const std::unique_ptr<Stream> stream = callers_stream();
    void* handle = stream != nullptr ? static_cast<cudaStream_t>(*stream) : nullptr;
    std::unique_ptr<Engine> engine;
    arm();
    attempt("open", [&]() -> Status {
      auto opened = open(plan(), options);
      if (!opened.ok()) return opened.failure();
      engine = std::move(opened).value();
      return ok_status();
    });
    ASSERT_NE(engine, nullptr);
    attempt("automatic_budget", [&]() -> Status {
      auto budget = engine->automatic_budget();
      if (!budget.ok()) return budget.failure();
      return ok_status();
    });
    std::unique_ptr<Engine> second;  // on the same weights
    attempt("share", [&] { return share(*engine, second); });
    if (GetParam().refit) attempt("refit", [&] { return refit(*engine); });
    for (const int64_t budget : {32 * unit(), 64 * unit(), int64_t{0}}) {
      attempt("set_budget", [&] { return engine->set_budget(budget); });
      EXPECT_EQ(engine->budget(), budget);
      attempt("make_context", [&] { return engine->make_context(); });
      for (const SizesType rows : {2, 8}) attempt("run", [&] { return run(*engine, rows, rows, handle); });
      attempt("make_context", [&] { return second->make_context(); });
      attempt("run", [&] { return run(*second, 3, 3, handle); });
      (void)engine->memory();
      (void)second->device_bytes();
      engine->drop_context();
      second->drop_context();
      if (budget > 0) engine->release_staging();
    }
    engine.reset();
    second.reset();
    standin_clear_faults();
  }

  void arm() {
    if (!function_.empty()) standin_fail(function_.c_str(), nth_, times_, error_);
  }

  std::string function_;
  int64_t nth_ = 0;
  int64_t times_ = 1;
  int error_ = 0;
  int failures_ = 0;
};

TEST_P(Faults, EveryFunctionAtEveryCall) {
  const auto calls = calls_of_a_scenario();
  ASSERT_FALSE(HasFailure());
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

TEST_P(Faults, EveryFunctionFromEveryCallOn) { sweep_that_stays(false); }

TEST_P(Faults, TheDeviceIsLostAtEveryCall) { sweep_that_stays(true); }

INSTANTIATE_TEST_SUITE_P(Scenes, Faults,
                         ::testing::Values(Scene{"device", false, false, Where::Device, 0, 0},
                                           Scene{"host", false, false, Where::Pageable, 0, 0},
                                           Scene{"stream", false, true, Where::Device, 0, 0},
                                           Scene{"unaligned", false, true, Where::Device, 16, 0},
                                           Scene{"graph", true, false, Where::Device, 0, 0},
                                           Scene{"graph_on_stream", true, true, Where::Device, 0, 0},
                                           Scene{"other_device", true, true, Where::Device, 16, 1},
                                           Scene{"other_device_host", false, false, Where::Pageable, 0, 1},
                                           Scene{"block", false, true, Where::Device, 0, 0, true},
                                           Scene{"block_graph", true, false, Where::Pageable, 0, 1, true},
                                           Scene{"profiles", false, true, Where::Device, 0, 0, false, true},
                                           Scene{"profiles_block", true, true, Where::Device, 0, 1, true, true},
                                           Scene{"profiles_host", false, false, Where::Pageable, 0, 0, true, true},
                                           Scene{"refit", false, false, Where::Device, 0, 0, false, false, true}),
                         [](const auto& scene) { return std::string(scene.param.name); });

Status run_once(Engine& engine) {
  Tensor x = make_x(4), y = make_y(4);
  Sink sink({&y});
  return engine.run({x.view()}, sink);
}

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

TEST_F(Adapter, ADeviceThatIsLostWhileThePlanIsReadIsNoDamagedEngine) {
  standin_set("sticky", 1);
  standin_fail("cudaPointerGetAttributes", 1, 1, cudaErrorIllegalAddress);
  const std::string message = failed_with(open(), ErrorCode::EngineFault);
  EXPECT_NE(message.find("cudaErrorIllegalAddress"), std::string::npos) << message;
  EXPECT_NE(message.find("ends early"), std::string::npos) << "TensorRT's own words: " << message;
  EXPECT_EQ(message.find("damaged"), std::string::npos) << message;
}

TEST_F(Adapter, ACallThatFailsOnceWhileThePlanIsReadIsNoDamagedEngine) {
  standin_fail("cudaPointerGetAttributes", 1, 1, cudaErrorInvalidValue);
  const std::string message = failed_with(open(), ErrorCode::EngineFault);
  EXPECT_NE(message.find("cudaErrorInvalidValue"), std::string::npos) << message;
  EXPECT_NE(message.find("cudaPointerGetAttributes"), std::string::npos) << message;
  standin_fail("cudaPointerGetAttributes", 1, 1, cudaErrorMemoryAllocation);
  failed_with(open(), ErrorCode::DoesNotFit);
  EXPECT_TRUE(is_ok(open())) << "the next load";
}

TEST_F(Adapter, ACopyThatFailsWhileThePlanIsReadIsNoDamagedEngine) {
  PlanText text;
  text.weights = 4096;
  standin_set("read_to_device", 1);
  standin_fail("cudaMemcpyAsync", 1, 1, cudaErrorLaunchFailure);
  const std::string message = failed_with(open(text), ErrorCode::EngineFault);
  EXPECT_NE(message.find("cudaErrorLaunchFailure"), std::string::npos) << message;
}

TEST_F(Adapter, ADamagedEngineIsStillOneWhereTheProgramLeftAnErrorOfCuda) {
  auto plan = plan_bytes();
  plan.back() ^= 1;
  ASSERT_NE(cudaSetDevice(99), cudaSuccess);
  failed_with(open_plan(plan, acceptance_metadata()), ErrorCode::BadEngine);
  (void)cudaGetLastError();
}

TEST_F(Adapter, ShapeCallsThatFailAreTensorRTsFault) {
  for (const char* function : {"setInputShape", "inferShapes", "getTensorShape"}) {
    auto engine = open();
    ASSERT_TRUE(is_ok(engine));
    standin_fail(function, 1, 1, cudaErrorLaunchFailure);
    const std::string message = failed_with(engine.value()->make_context(), ErrorCode::EngineFault);
    EXPECT_NE(message.find(function), std::string::npos) << message;
    if (std::string(function) != "getTensorShape") {
      EXPECT_NE(message.find("unspecified launch failure"), std::string::npos) << message;
    }
    EXPECT_TRUE(is_ok(engine.value()->make_context())) << "the next try";
    standin_fail(function, 1, 1, 0);
    failed_with(run_once(*engine.value()), ErrorCode::EngineFault);
    EXPECT_TRUE(runs(*engine.value(), 4));
  }
}

// The real one was seen to choose 12 MiB where 228 fitted, and 0 where a context fitted.
TEST_F(Adapter, AnAutomaticBudgetThatIsFarTooSmallIsTakenAsItIs) {
  auto engine = open();
  ASSERT_TRUE(is_ok(engine));
  for (const int64_t chosen : {int64_t{0}, kMiB, int64_t{1} << 60}) {
    standin_set("automatic_budget", chosen);
    auto budget = engine.value()->automatic_budget();
    ASSERT_TRUE(is_ok(budget));
    EXPECT_EQ(budget.value(), std::min(chosen, 64 * kMiB));
    ASSERT_TRUE(is_ok(engine.value()->set_budget(budget.value())));
    ASSERT_TRUE(is_ok(engine.value()->make_context()));
    EXPECT_TRUE(runs(*engine.value(), 4));
    engine.value()->drop_context();
    ASSERT_TRUE(is_ok(engine.value()->set_budget(0)));
  }
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
