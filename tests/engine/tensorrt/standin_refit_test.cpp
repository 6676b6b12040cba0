// Plans without weights: the order of things, and each way in which weights can be wrong. y = 2 * x + 1 holds only
// where the plan got its weights.
#include <functional>

#include "standin_support.h"
#include "weights_support.h"

namespace torchtrt_ws::testing {
namespace {

class StandinRefit : public Adapter {
 protected:
  static PlanText stripped(const std::string& extra = "") {
    PlanText text;
    text.extra = "refittable 1\nweight scale float32 1\nweight offset float32 3\n" + extra;
    text.io =
        "input x float32 1,4 8,4 8,4\n"
        "output y float32 affine 0 1*x scale scale offset offset\n";
    return text;
  }

  static HeldWeights weights() {
    HeldWeights weights;
    weights.add("scale", {2});
    weights.add("offset", {1, 7, 7});
    return weights;
  }

  static Result<std::unique_ptr<Engine>> open_with(const HeldWeights& weights, const PlanText& text = stripped(),
                                                   Verify verify = Verify::Off, const WeightsSource* source = nullptr) {
    const auto plan = std::make_shared<std::vector<uint8_t>>(plan_bytes(text));
    Payload payload(plan->data(), plan->size(), [plan] {});
    const Metadata metadata = weights.metadata(acceptance_metadata());
    const std::string name = "forward";
    OpenRequest request{metadata, name, {}, GraphUse::Off, verify};
    request.weights = source == nullptr ? &weights : source;
    return tensorrt_kind()(std::move(payload), request);
  }

  static std::string refused(const HeldWeights& weights, const PlanText& text = stripped(),
                             Verify verify = Verify::Checksum) {
    const std::string message = failed_with(open_with(weights, text, verify), ErrorCode::BadEngine);
    EXPECT_EQ(weights.given, 0) << "nothing of the file is held any longer";
    return message;
  }

  static bool says(const std::string& message, const std::string& words) {
    if (message.find(words) != std::string::npos) return true;
    ADD_FAILURE() << "no " << words << " in: " << message;
    return false;
  }
};

TEST_F(StandinRefit, RunsOnTheWeightsOfTheFileAtEveryBudget) {
  const HeldWeights given = weights();
  auto opened = open_with(given, stripped(), Verify::Checksum);
  ASSERT_TRUE(is_ok(opened));
  EXPECT_EQ(given.given, 0) << "the file is given back once TensorRT has its weights";
  EXPECT_EQ(standin_calls("setWeightStreamingBudgetV2"), 0) << "the budget comes after the weights";
  EXPECT_EQ(standin_live("refitter"), 0);
  Engine& engine = *opened.value();
  const int64_t all = engine.streamable_bytes();
  for (const int64_t budget : {all, all / 2, int64_t{0}}) {
    ASSERT_TRUE(is_ok(engine.set_budget(budget)));
    ASSERT_TRUE(is_ok(engine.make_context()));
    EXPECT_TRUE(runs(engine, 3, 1));
    engine.drop_context();
  }
  EXPECT_EQ(standin_calls("refitCudaEngine"), 1);
}

TEST_F(StandinRefit, WithoutTheFileTheErrorNamesItAndNothingIsDeserialized) {
  const HeldWeights given = weights();
  const auto plan = plan_bytes(stripped());
  const Metadata metadata = given.metadata(acceptance_metadata());
  const std::string name = "forward";
  const auto opened = tensorrt_kind()(Payload(plan.data(), plan.size(), nullptr), {metadata, name, {}, GraphUse::Off});
  const std::string message = failed_with(opened, ErrorCode::BadEngine);
  EXPECT_TRUE(says(message, "\"model.ptd\""));
  EXPECT_TRUE(says(message, "data="));
  EXPECT_EQ(standin_calls("deserializeCudaEngine"), 0);
}

TEST_F(StandinRefit, EachWrongWeightIsNamedWithItsFile) {
  struct Case {
    const char* what;
    std::function<void(HeldWeights&)> spoil;
    std::string weight, words;
  };
  const std::vector<Case> cases = {
      {"another export's file", [](HeldWeights& w) { w.held.erase(w.listed.tensors[1].key); }, "offset",
       "no such weight in the data files"},
      {"cut", [](HeldWeights& w) { w.held[w.listed.tensors[1].key].pop_back(); }, "offset", "found 11 bytes"},
      {"changed", [](HeldWeights& w) { w.held[w.listed.tensors[0].key][2] ^= 1; }, "scale", "CRC-32C"},
      {"missing in the list", [](HeldWeights& w) { w.listed.tensors.pop_back(); }, "offset",
       "nothing of it in the program's list"},
      {"extra", [](HeldWeights& w) { w.add("other", {5}); }, "other", "a weight that the engine does not have"},
      {"another type", [](HeldWeights& w) { w.listed.tensors[0].dtype = "int32"; }, "scale",
       "found int32; expected float32"},
      {"a type of nobody", [](HeldWeights& w) { w.listed.tensors[0].dtype = "complex64"; }, "scale", "complex64"},
      {"another number", [](HeldWeights& w) { w.listed.tensors[1].count = 4; }, "offset",
       "found 4 elements; expected 3"},
      {"a number that its bytes are not",
       [](HeldWeights& w) {
         auto& bytes = w.held[w.listed.tensors[1].key];
         bytes.pop_back();
         Crc32c crc;
         crc.update(bytes.data(), bytes.size());
         w.listed.tensors[1].bytes = 11;
         w.listed.tensors[1].crc32c = crc.value();
       },
       "offset", "found 11 bytes; expected those of 3 elements"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    HeldWeights spoiled = weights();
    each.spoil(spoiled);
    const std::string message = refused(spoiled);
    EXPECT_TRUE(says(message, "weight \"" + each.weight + "\" in \"model.ptd\""));
    EXPECT_TRUE(says(message, each.words));
    EXPECT_EQ(standin_calls("createExecutionContext"), 0);
  }
  EXPECT_TRUE(is_ok(open_with(weights(), stripped(), Verify::Checksum))) << "a good file still loads";
}

TEST_F(StandinRefit, ADigestFindsWhatAChecksumDoesNotAndOffFindsNothing) {
  HeldWeights forged = weights();
  forged.held[forged.listed.tensors[0].key][2] ^= 1;
  Crc32c crc;
  crc.update(forged.held[forged.listed.tensors[0].key].data(), 4);
  forged.listed.tensors[0].crc32c = crc.value();
  EXPECT_TRUE(is_ok(open_with(forged, stripped(), Verify::Off)));
  // The plan's own digest is not recorded here, so ask for that of the weights alone.
  const auto found = Weights::find("engine", forged.listed, &forged);
  ASSERT_TRUE(is_ok(found));
  EXPECT_TRUE(is_ok(found.value().compare(Verify::Checksum)));
  const std::string message = failed_with(found.value().compare(Verify::Digest), ErrorCode::BadEngine);
  EXPECT_TRUE(says(message, "weight \"scale\" in \"model.ptd\": found SHA-256"));
  EXPECT_NE(found.value().digest(), digest_of(forged.listed));
  const HeldWeights good = weights();
  EXPECT_EQ(Weights::find("engine", good.listed, &good).value().digest(), digest_of(good.listed));
}

TEST_F(StandinRefit, APlanThatTakesNoWeightsIsRefused) {
  PlanText whole = stripped();
  whole.extra = "weight scale float32 1 00000040\nweight offset float32 1 0000803f\n";
  EXPECT_TRUE(says(refused(weights(), whole), "The engine is not refittable"));
}

TEST_F(StandinRefit, AFailureOfTensorRTIsToldInItsWords) {
  for (const char* function : {"createInferRefitter", "refitCudaEngine"}) {  // the second one fails halfway
    standin_fail(function, 1, 1, 0);
    const std::string message = failed_with(open_with(weights()), ErrorCode::BadEngine);
    EXPECT_TRUE(says(message, "Internal Error")) << function;
    standin_fail(function, 1, 1, cudaErrorIllegalAddress);
    failed_with(open_with(weights()), ErrorCode::EngineFault);
  }
  standin_fail("setNamedWeights", 2, 1, 0);
  const std::string message = failed_with(open_with(weights()), ErrorCode::BadEngine);
  EXPECT_TRUE(says(message, "weight \"offset\" in \"model.ptd\""));
  EXPECT_TRUE(is_ok(open_with(weights()))) << "a later load works";
}

TEST_F(StandinRefit, ManyLargeWeightsAreComparedWhole) {
  HeldWeights many;
  std::string lines = "refittable 1\n";
  for (int i = 0; i < 40; ++i) {
    const size_t count = 100000 + static_cast<size_t>(i) * 30011;
    std::vector<float> values(count, static_cast<float>(i));
    const std::string name = i == 0 ? "scale" : i == 1 ? "offset" : "w" + std::to_string(i);
    values[0] = i == 0 ? 2.0f : 1.0f;
    many.add(name, values);
    lines += "weight " + name + " float32 " + std::to_string(count) + "\n";
  }
  PlanText text = stripped();
  text.extra = lines;
  EXPECT_TRUE(is_ok(open_with(many, text, Verify::Checksum)));
  for (const size_t index : {size_t{39}, size_t{17}}) {
    auto& bytes = many.held[many.listed.tensors[index].key];
    bytes[bytes.size() - 1] ^= 1;
    EXPECT_TRUE(says(refused(many, text), "weight \"w" + std::to_string(index) + "\""));
  }
}

}  // namespace
}  // namespace torchtrt_ws::testing
