// New weights for an engine that is loaded: what changes, what does not, and what is left when TensorRT fails halfway.
// y = scale * x + offset tells which weights there are.
#include "../../delegate/mapped_file.h"
#include "standin_support.h"
#include "weights_support.h"

namespace torchtrt_ws::testing {
namespace {

/// Weights for a refit, in memory of their own.
struct NewWeights {
  NewWeights(std::initializer_list<std::pair<const char*, float>> values) {
    given.reserve(values.size());
    kept.reserve(values.size());
    for (const auto& [name, value] : values) {
      kept.push_back(value);
      given.push_back({name, "float32", 1, &kept.back(), sizeof(float)});
    }
  }
  std::vector<float> kept;
  std::vector<NewWeight> given;
};

class StandinNewWeights : public Adapter {
 protected:
  /// y = 2 * x + 1 as it is built.
  static PlanText plan(const std::string& extra = "") {
    PlanText text;
    text.weights = 1 << 20;  // one without them is refused
    text.streamable = 1 << 20;
    text.extra = "refittable 2\nweight scale float32 1 00000040\nweight offset float32 1 0000803f\n" + extra;
    text.io =
        "input x float32 1,4 8,4 8,4\n"
        "output y float32 affine 0 1*x scale scale offset offset\n";
    return text;
  }

  static std::unique_ptr<Engine> opened(const PlanText& text = plan()) {
    auto engine = open(text);
    EXPECT_TRUE(is_ok(engine));
    return engine.ok() ? std::move(engine).value() : nullptr;
  }

  static ::testing::AssertionResult computes(Engine& engine, float scale, float offset) {
    Status made = engine.make_context();
    if (!made.ok()) return ::testing::AssertionFailure() << made.failure().message();
    Tensor x(ScalarType::Float, {2, 4}), y(ScalarType::Float, {2, 4});
    x.put(std::vector<float>(8, 3));
    Sink sink({&y});
    Status ran = engine.run({x.view()}, sink);
    if (!ran.ok()) return ::testing::AssertionFailure() << ran.failure().message();
    const std::vector<float> found = y.get<float>();
    engine.drop_context();
    if (found == std::vector<float>(8, 3 * scale + offset)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << found[0] << ", not " << 3 * scale + offset;
  }

  static bool says(const std::string& message, const std::string& words) {
    if (message.find(words) != std::string::npos) return true;
    ADD_FAILURE() << "no " << words << " in: " << message;
    return false;
  }

  /// Refused runs, until these weights are given again.
  static void expect_torn(Engine& engine, const std::string& names) {
    const std::string message = failed_with(engine.make_context(), ErrorCode::WrongState);
    says(message, "what was there before is not known of");
    says(message, names);
  }
};

TEST_F(StandinNewWeights, TheEngineSaysWhatItTakes) {
  const auto engine = opened();
  EXPECT_TRUE(engine->refittable());
  const auto takes = engine->refittable_weights();
  ASSERT_TRUE(is_ok(takes));
  ASSERT_EQ(takes.value().size(), 2u);
  EXPECT_EQ(takes.value()[0].name, "scale");
  EXPECT_EQ(takes.value()[0].dtype, "float32");
  EXPECT_EQ(takes.value()[0].count, 1);
  EXPECT_EQ(takes.value()[0].bytes, 4);
  EXPECT_EQ(standin_live("refitter"), 0);
}

TEST_F(StandinNewWeights, SomeChangeAndTheBudgetStays) {
  const auto engine = opened();
  const int64_t all = engine->streamable_bytes();
  float scale = 2;
  for (const int64_t budget : {all, all / 2, int64_t{0}}) {
    ASSERT_TRUE(is_ok(engine->set_budget(budget)));
    ASSERT_TRUE(computes(*engine, scale, 1));
    scale += 3;
    ASSERT_TRUE(is_ok(engine->refit(NewWeights{{"scale", scale}}.given)));
    EXPECT_EQ(engine->budget(), budget);
    EXPECT_TRUE(computes(*engine, scale, 1)) << "the other weight is as it was";
  }
  ASSERT_TRUE(is_ok(engine->refit(NewWeights{{"scale", 7}, {"offset", -4}}.given)));
  EXPECT_TRUE(computes(*engine, 7, -4));
}

TEST_F(StandinNewWeights, WithAContextItIsRefused) {
  const auto engine = opened();
  ASSERT_TRUE(is_ok(engine->make_context()));
  failed_with(engine->refit(NewWeights{{"scale", 5}}.given), ErrorCode::WrongState);
  EXPECT_TRUE(computes(*engine, 2, 1));
}

TEST_F(StandinNewWeights, AnEngineThatWasNotBuiltForOthersIsRefused) {
  for (const char* line : {"refittable 1\n", "refittable 0\n"}) {  // TensorRT takes others of the first, unnoticed
    PlanText text = plan();
    text.extra = line + text.extra.substr(text.extra.find('\n') + 1);
    const auto engine = opened(text);
    EXPECT_FALSE(engine->refittable());
    for (const auto& failure : {failed_with(engine->refittable_weights(), ErrorCode::NotSupported),
                                failed_with(engine->refit(NewWeights{{"scale", 5}}.given), ErrorCode::NotSupported)}) {
      says(failure, "REFIT_IDENTICAL");
      says(failure, "refit=True");
    }
    EXPECT_EQ(standin_calls("refitCudaEngine"), 0);
    EXPECT_TRUE(computes(*engine, 2, 1));
  }
}

TEST_F(StandinNewWeights, WhatGoesTogetherIsAskedForOrKnown) {
  const auto engine = opened(plan("together scale offset\n"));
  const std::string message = failed_with(engine->refit(NewWeights{{"scale", 5}}.given), ErrorCode::BadArgument);
  says(message, "depend on 1 others: \"offset\"");
  EXPECT_TRUE(computes(*engine, 2, 1)) << "nothing has changed";
  ASSERT_TRUE(is_ok(engine->refit(NewWeights{{"scale", 5}, {"offset", 6}}.given)));
  ASSERT_TRUE(is_ok(engine->refit(NewWeights{{"scale", 3}}.given))) << "by now the other one is known";
  EXPECT_TRUE(computes(*engine, 3, 6));
}

TEST_F(StandinNewWeights, AFailureBeforeItBeginsChangesNothing) {
  const auto engine = opened();
  for (const auto& [function, nth] : {std::pair{"createInferRefitter", 1}, {"setNamedWeights", 2}}) {
    standin_fail(function, nth, 1, 0);
    const auto failed = engine->refit(NewWeights{{"offset", 8}, {"scale", 5}}.given);
    says(failed_with(failed, ErrorCode::EngineFault), "Internal Error");
    EXPECT_TRUE(computes(*engine, 2, 1)) << function;
  }
  EXPECT_EQ(standin_calls("refitCudaEngine"), 0);
}

TEST_F(StandinNewWeights, AFailureHalfwayPutsTheKnownOnesBack) {
  const auto engine = opened();
  ASSERT_TRUE(is_ok(engine->refit(NewWeights{{"scale", 5}, {"offset", 6}}.given)));
  standin_fail("refitCudaEngine", 1, 1, 0);
  const auto failed = engine->refit(NewWeights{{"scale", 7}, {"offset", 8}}.given);
  says(failed_with(failed, ErrorCode::EngineFault), "the weights of before are back");
  EXPECT_TRUE(computes(*engine, 5, 6));
}

TEST_F(StandinNewWeights, AFailureHalfwayWithoutThemRefusesToRunUntilTheyCome) {
  const auto engine = opened();
  standin_fail("refitCudaEngine", 1, 1, 0);
  const auto failed = engine->refit(NewWeights{{"scale", 7}, {"offset", 8}}.given);
  const std::string message = failed_with(failed, ErrorCode::EngineFault);
  says(message, "what was there before is not known of 2 of them (\"offset\", \"scale\")");
  says(message, "load the program again");
  expect_torn(*engine, "\"offset\", \"scale\"");
  says(failed_with(engine->refit(NewWeights{{"scale", 7}}.given), ErrorCode::WrongState),
       "\"offset\" is not among its weights");
  expect_torn(*engine, "\"offset\", \"scale\"");
  ASSERT_TRUE(is_ok(engine->refit(NewWeights{{"scale", 7}, {"offset", 8}}.given)));
  EXPECT_TRUE(computes(*engine, 7, 8));
}

TEST_F(StandinNewWeights, OnesThatAreNotKnownAreLostAlone) {
  const auto engine = opened();
  ASSERT_TRUE(is_ok(engine->refit(NewWeights{{"offset", 6}}.given)));
  standin_fail("refitCudaEngine", 1, 1, 0);
  failed_with(engine->refit(NewWeights{{"scale", 7}, {"offset", 8}}.given), ErrorCode::EngineFault);
  expect_torn(*engine, "1 of them (\"scale\")");
  ASSERT_TRUE(is_ok(engine->refit(NewWeights{{"scale", 9}}.given)));
  EXPECT_TRUE(computes(*engine, 9, 6)) << "the other one was put back";
}

TEST_F(StandinNewWeights, AFailureToPutBackRefusesToRun) {
  const auto engine = opened();
  ASSERT_TRUE(is_ok(engine->refit(NewWeights{{"scale", 5}, {"offset", 6}}.given)));
  standin_fail("refitCudaEngine", 1, 2, 0);
  failed_with(engine->refit(NewWeights{{"scale", 7}}.given), ErrorCode::EngineFault);
  expect_torn(*engine, "\"scale\"");
  ASSERT_TRUE(is_ok(engine->refit(NewWeights{{"scale", 7}}.given)));
  EXPECT_TRUE(computes(*engine, 7, 6));
}

TEST_F(StandinNewWeights, ItCanBeUndone) {
  const auto engine = opened();
  auto undo = engine->refit(NewWeights{{"scale", 5}, {"offset", 6}}.given);
  ASSERT_TRUE(is_ok(undo));
  failed_with(undo.value()(), ErrorCode::WrongState);  // the plan's own are not known
  expect_torn(*engine, "\"offset\", \"scale\"");
  ASSERT_TRUE(is_ok(engine->refit(NewWeights{{"scale", 5}, {"offset", 6}}.given)));
  undo = engine->refit(NewWeights{{"scale", 7}}.given);
  ASSERT_TRUE(is_ok(undo));
  ASSERT_TRUE(is_ok(undo.value()()));
  EXPECT_TRUE(computes(*engine, 5, 6));
}

TEST_F(StandinNewWeights, NobodySharesWhatHasChanged) {
  const auto engine = opened();
  const Metadata metadata = acceptance_metadata();
  const std::string name = "forward";
  const OpenRequest request{metadata, name, {}};
  Payload payload(nullptr, 0, nullptr);
  auto sharer = engine->share(payload, request);
  ASSERT_TRUE(is_ok(sharer));
  EXPECT_NE(sharer.value(), nullptr);
  ASSERT_TRUE(is_ok(sharer.value()->refit(NewWeights{{"scale", 5}}.given)));
  EXPECT_TRUE(computes(*engine, 5, 1)) << "one copy of the weights";
  auto later = engine->share(payload, request);
  ASSERT_TRUE(is_ok(later));
  EXPECT_EQ(later.value(), nullptr);
}

/// Weights of a data file that is mapped, as ExecuTorch maps it.
class MappedWeights final : public WeightsSource {
 public:
  explicit MappedWeights(const HeldWeights& weights) {
    std::vector<char> bytes;
    for (const auto& [key, held] : weights.held) {
      at_[key] = {bytes.size(), held.size()};
      bytes.insert(bytes.end(), held.begin(), held.end());
    }
    file_ = std::make_unique<MappedFile>(bytes);
    buffer_ = std::make_unique<executorch::runtime::FreeableBuffer>(file_->map());
  }

  [[nodiscard]] Result<Payload> find(const std::string& key, const std::string&) const override {
    const auto& [offset, size] = at_.at(key);
    return Payload(static_cast<const uint8_t*>(buffer_->data()) + offset, size, nullptr);
  }

  MappedFile& file() { return *file_; }

 private:
  std::map<std::string, std::pair<size_t, size_t>> at_;
  std::unique_ptr<MappedFile> file_;
  std::unique_ptr<executorch::runtime::FreeableBuffer> buffer_;
};

TEST_F(StandinNewWeights, ThoseOfAMappedFileAreKnown) {
  HeldWeights weights;
  weights.add("scale", {2});
  weights.add("offset", {1});
  PlanText text = plan();
  text.extra = "refittable 2\nweight scale float32 1\nweight offset float32 1\n";
  for (const bool mapped : {true, false}) {
    MappedWeights file(weights);
    const auto bytes = std::make_shared<std::vector<uint8_t>>(plan_bytes(text));
    const Metadata metadata = weights.metadata(acceptance_metadata());
    const std::string name = "forward";
    OpenRequest request{metadata, name, {}, GraphUse::Off, Verify::Off};
    request.weights = mapped ? static_cast<const WeightsSource*>(&file) : &weights;
    auto opened = tensorrt_kind()(Payload(bytes->data(), bytes->size(), [bytes] {}), request);
    ASSERT_TRUE(is_ok(opened));
    EXPECT_EQ(weights.given, 0) << "nothing of a file in memory is held";
    Engine& engine = *opened.value();
    standin_fail("refitCudaEngine", 1, 1, 0);
    const auto failed = engine.refit(NewWeights{{"scale", 7}, {"offset", 8}}.given);
    const std::string message = failed_with(failed, ErrorCode::EngineFault);
    if (mapped) {
      says(message, "the weights of before are back");
      EXPECT_TRUE(computes(engine, 2, 1));
    } else {
      expect_torn(engine, "\"scale\"");
    }
  }
}

}  // namespace
}  // namespace torchtrt_ws::testing
