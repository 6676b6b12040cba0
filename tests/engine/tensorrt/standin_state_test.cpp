// Buffers that an engine keeps: the memory they take, the bytes that move, and every call of theirs that can fail.
#include "standin_support.h"

namespace torchtrt_ws::testing {
namespace {

constexpr int64_t kBytes = int64_t{4} * 4 * static_cast<int64_t>(sizeof(float));

class StandinState : public Adapter {
 protected:
  static Metadata metadata() {
    Metadata metadata = metadata_of({{"x", "float32", {4, 4}, true}, {"y", "float32", {4, 4}, false}});
    metadata.own.emplace();
    metadata.own->state = {{"sum", "sum_after", "float32", {4, 4}}};
    for (const auto& [tensors, name] :
         {std::pair{&metadata.own->inputs, "x"}, std::pair{&metadata.own->outputs, "y"}}) {
      tensors->push_back({name, "float32", {4, 4}, {4, 4}, {4, 4}});
    }
    return metadata;
  }

  static Result<std::unique_ptr<Engine>> opened(bool in_place) {
    PlanText text;
    text.io = std::string(
                  "input x float32 4,4 4,4 4,4\n"
                  "input sum float32 4,4 4,4 4,4\n"
                  "output y float32 affine 1 2*x 2*sum\n"
                  "output sum_after float32 affine 0 1*sum 1*x") +
              (in_place ? " alias sum\n" : "\n");
    return open_plan(plan_bytes(text), metadata());
  }

  static Status add(Engine& engine, float value, float& y) {
    Tensor x(ScalarType::Float, {4, 4}), out(ScalarType::Float, {4, 4});
    x.put(std::vector<float>(16, value));
    Sink sink({&out});
    Status ran = engine.run({x.view()}, sink);
    if (ran.ok()) y = out.get<float>()[5];
    return ran;
  }
};

TEST_F(StandinState, IsCountedOnTheDevice) {
  auto opening = opened(false);
  ASSERT_TRUE(is_ok(opening));
  auto engine = std::move(opening).value();
  const MemoryFacts before = engine->memory();
  const int64_t device = engine->device_bytes();
  ASSERT_TRUE(is_ok(engine->make_context()));
  engine->drop_context();
  EXPECT_EQ(engine->device_bytes() - device, 2 * kBytes) << "before and after a call";
  EXPECT_EQ(before.staging - engine->memory().staging, 2 * kBytes) << "a plan of the memory knew of it";
  engine->release_staging();
  EXPECT_GE(engine->device_bytes() - device, 2 * kBytes - 256) << "it stays";
}

TEST_F(StandinState, ThatDoesNotFitIsClear) {
  auto opening = opened(false);
  ASSERT_TRUE(is_ok(opening));
  auto engine = std::move(opening).value();
  standin_fail("cudaMalloc", 2, 1, cudaErrorMemoryAllocation);  // the second of the two buffers
  failed_with(engine->make_context(), ErrorCode::DoesNotFit);
  standin_clear_faults();
  ASSERT_TRUE(is_ok(engine->make_context()));
  float y = 0;
  ASSERT_TRUE(is_ok(add(*engine, 2, y)));
  EXPECT_EQ(y, 5);
}

TEST_F(StandinState, EveryCallThatFailsIsClearAndTheNextTryWorks) {
  for (const char* function :
       {"cudaMalloc", "cudaMemsetAsync", "cudaMemcpyAsync", "cudaStreamSynchronize", "setTensorAddress", "enqueueV3"}) {
    for (int nth = 1; nth <= 6; ++nth) {
      SCOPED_TRACE(std::string(function) + ", call " + std::to_string(nth));
      auto opening = opened(false);
      ASSERT_TRUE(is_ok(opening));
      auto engine = std::move(opening).value();
      standin_fail(function, nth, 1, 0);
      float y = 0;
      Status made = engine->make_context();
      if (!made.ok()) {
        ASSERT_TRUE(is_ok(engine->make_context()));
      }
      Status ran = add(*engine, 1, y);
      Status reset = engine->reset_state();
      standin_clear_faults();
      for (const Status* step : {&made, &ran, &reset}) {
        if (step->ok()) continue;
        const bool right =
            step->failure().code == ErrorCode::DoesNotFit || step->failure().code == ErrorCode::EngineFault;
        EXPECT_TRUE(right) << step->failure().message();
      }
      ASSERT_TRUE(is_ok(engine->reset_state()));
      ASSERT_TRUE(is_ok(add(*engine, 3, y)));
      EXPECT_EQ(y, 7);
      ASSERT_TRUE(is_ok(add(*engine, 1, y)));
      EXPECT_EQ(y, 9);
    }
  }
}

TEST_F(StandinState, IsCopiedOnlyWhereTheEngineDoesNotWriteInPlace) {
#if NV_TENSORRT_MAJOR >= 11
  const bool possible[] = {false, true};
#else
  const bool possible[] = {false};
#endif
  for (const bool in_place : possible) {
    auto engine = made_ready(opened(in_place));
    ASSERT_NE(engine, nullptr);
    const int64_t copied = standin_bytes("d2d");
    float y = 0;
    for (int call = 1; call <= 5; ++call) {
      ASSERT_TRUE(is_ok(add(*engine, 1, y)));
      EXPECT_EQ(y, static_cast<float>(2 * call + 1));
    }
    EXPECT_EQ(standin_bytes("d2d") - copied, in_place ? 0 : 5 * kBytes);
  }
}

}  // namespace
}  // namespace torchtrt_ws::testing
