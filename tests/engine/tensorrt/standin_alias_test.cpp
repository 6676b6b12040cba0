// Outputs that are written into inputs (blob TR02): TensorRT 11 and later; before it they are refused.
#include <NvInferVersion.h>

#include "standin_support.h"

namespace torchtrt_ws::testing {
namespace {

class AliasTest : public Adapter {
 protected:
  static Metadata metadata(const std::string& kind, const std::string& input = "cache") {
    Metadata metadata = metadata_of({{"x", "float32", {4}, true},
                                     {"cache", "float32", {4}, true},
                                     {"y", "float32", {4}, false},
                                     {"new_cache", "float32", {4}, false}});
    metadata.aliased_io = {{"new_cache", input, kind}};
    return metadata;
  }

  static PlanText plan(bool engine_says_so) {
    PlanText text;
    text.io = std::string("input x float32 4 4 4\ninput cache float32 4 4 4\n") +
              "output y float32 affine 0 2*x\noutput new_cache float32 affine 0 1*cache 1*x" +
              (engine_says_so ? " alias cache\n" : "\n");
    return text;
  }
};

#if NV_TENSORRT_MAJOR >= 11

class DynamicAliasTest : public AliasTest {
 protected:
  /// `new_cache` is 2 x + 1, of x's shape, and written into `cache`: 0 to 4096 rows of 1 to 8.
  static auto open_dynamic() {
    Metadata dynamic = metadata_of({{"x", "float32", {-1, -1}, true},
                                    {"cache", "float32", {-1, -1}, true},
                                    {"new_cache", "float32", {-1, -1}, false}});
    dynamic.aliased_io = {{"new_cache", "cache", "user"}};
    PlanText text;
    text.io =
        "input x float32 0,1 8,8 4096,8\ninput cache float32 0,1 8,8 4096,8\n"
        "output new_cache float32 affine 1 2*x\n";
    return open_plan(plan_bytes(text), dynamic);
  }
};

TEST_F(AliasTest, OutputsUpdateTheirInputs) {
  auto opened = open_plan(plan_bytes(plan(true)), metadata("kv_cache_update"));
  auto engine = made_ready(std::move(opened));
  ASSERT_NE(engine, nullptr);
  for (const Where where : {Where::Device, Where::Pageable}) {
    for (const size_t misalign : {size_t{0}, size_t{16}}) {
      Tensor x(ScalarType::Float, {4}, where, misalign), cache(ScalarType::Float, {4}, where, misalign);
      Tensor y(ScalarType::Float, {4}, where, misalign), out(ScalarType::Float, {4}, where, misalign);
      x.put<float>({1, 2, 3, 4});
      cache.put<float>({10, 20, 30, 40});
      Sink sink({&y, &out});
      for (int step = 1; step <= 3; ++step) {
        ASSERT_TRUE(is_ok(engine->run({x.view(), cache.view()}, sink)));
        const auto s = static_cast<float>(step);
        const std::vector<float> want = {10 + s, 20 + 2 * s, 30 + 3 * s, 40 + 4 * s};
        EXPECT_EQ(cache.get<float>(), want) << "the input is updated in place";
        EXPECT_EQ(out.get<float>(), want) << "and the output is the same";
        EXPECT_EQ(y.get<float>(), (std::vector<float>{2, 4, 6, 8}));
      }
    }
  }
}

TEST_F(AliasTest, TheProgramMayPassTheSameMemoryTwice) {
  auto engine = made_ready(open_plan(plan_bytes(plan(true)), metadata("kv_cache_update")));
  ASSERT_NE(engine, nullptr);
  Tensor x(ScalarType::Float, {4}), cache(ScalarType::Float, {4}), y(ScalarType::Float, {4});
  x.put<float>({1, 1, 1, 1});
  cache.put<float>({0, 1, 2, 3});
  Sink sink({&y, &cache});
  ASSERT_TRUE(is_ok(engine->run({x.view(), cache.view()}, sink)));
  EXPECT_EQ(cache.get<float>(), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(standin_bytes("d2d"), 0) << "nothing to copy";
}

TEST_F(AliasTest, ContradictionsAreRefused) {
  failed_with(open_plan(plan_bytes(plan(true)), metadata("kv_cache_update", "x")), ErrorCode::BadBlob);
  failed_with(open_plan(plan_bytes(plan(true)), metadata("kv_cache_update", "none")), ErrorCode::BadBlob);
  failed_with(open_plan(plan_bytes(plan(false)), metadata("kv_cache_update")), ErrorCode::BadBlob);
  failed_with(open_plan(plan_bytes(plan(true)), metadata("a kind of the future")), ErrorCode::Incompatible);
}

TEST_F(DynamicAliasTest, AnInputThatIsWrittenIntoHasTheOutputsShapeInEachCall) {
  auto engine = made_ready(open_dynamic());
  ASSERT_NE(engine, nullptr);
  for (const Where where : {Where::Device, Where::Pageable}) {
    for (const std::vector<SizesType>& other :
         {std::vector<SizesType>{4096, 4}, std::vector<SizesType>{1, 4}, std::vector<SizesType>{8, 1}}) {
      Tensor x(ScalarType::Float, other, where), cache(ScalarType::Float, {2, 4}, where);
      Tensor out(ScalarType::Float, other, where);
      x.put(std::vector<float>(x.nbytes() / sizeof(float), 7));
      cache.put<float>({1, 2, 3, 4, 5, 6, 7, 8});
      Sink sink({&out});
      const std::string message = failed_with(engine->run({x.view(), cache.view()}, sink), ErrorCode::BadArgument);
      EXPECT_NE(message.find("input \"cache\": found shape [2, 4]"), std::string::npos) << message;
      EXPECT_NE(message.find("new_cache"), std::string::npos) << message;
      Tensor right(ScalarType::Float, {2, 4}, where), updated(ScalarType::Float, {2, 4}, where);
      right.put<float>({0, 1, 2, 3, 4, 5, 6, 7});
      Sink right_sink({&updated});
      ASSERT_TRUE(is_ok(engine->run({right.view(), cache.view()}, right_sink))) << "the next call";
      EXPECT_EQ(cache.get<float>(), (std::vector<float>{1, 3, 5, 7, 9, 11, 13, 15}));
      EXPECT_EQ(updated.get<float>(), cache.get<float>());
    }
  }
}

TEST_F(DynamicAliasTest, StagingToComeCountsAnInputAndItsOutputOnce) {
  const auto check = [](std::unique_ptr<Engine> engine, const std::vector<SizesType>& sizes, size_t outputs) {
    ASSERT_NE(engine, nullptr);
    std::vector<Tensor> made;
    for (size_t i = 0; i < 2 + outputs; ++i) made.emplace_back(ScalarType::Float, sizes, Where::Pageable);
    for (size_t i = 0; i < 2; ++i) made[i].put(std::vector<float>(made[i].nbytes() / sizeof(float), 1));
    Sink sink = outputs == 1 ? Sink({&made[2]}) : Sink({&made[2], &made[3]});
    const int64_t to_come = engine->memory().staging, held = standin_live_bytes("device");
    ASSERT_TRUE(is_ok(engine->run({made[0].view(), made[1].view()}, sink)));
    EXPECT_EQ(standin_live_bytes("device") - held, to_come);
    EXPECT_EQ(engine->memory().staging, 0);
  };
  check(made_ready(open_dynamic()), {4096, 8}, 1);
  check(made_ready(open_plan(plan_bytes(plan(true)), metadata("kv_cache_update"))), {4}, 2);
}

TEST_F(AliasTest, AnInputIsWrittenIntoByOneOutput) {
  Metadata twice = metadata("user");
  twice.aliased_io.push_back({"y", "cache", "user"});
  const std::string message = failed_with(open_plan(plan_bytes(plan(false)), twice), ErrorCode::BadBlob);
  EXPECT_NE(message.find("new_cache"), std::string::npos) << message;
}

TEST_F(AliasTest, NothingIsWrittenIntoAnInputThatHoldsShapes) {
  Metadata shapes = metadata_of({{"m", "int32", {2}, true},
                                 {"k", "int32", {2}, true},
                                 {"z", "int32", {-1, -1}, false},
                                 {"w", "int32", {2}, false}});
  shapes.aliased_io = {{"w", "k", "user"}};
  PlanText text;
  text.io =
      "input m int32 2 2 2\ninput k int32 2 2 2 host\nvalues k 1,4 4,4 8,4\n"
      "output z int32 affine 0 1*m shape k\noutput w int32 affine 0 1*m\n";
  const std::string message = failed_with(open_plan(plan_bytes(text), shapes), ErrorCode::BadBlob);
  EXPECT_NE(message.find("holds shapes"), std::string::npos) << message;
}

TEST_F(AliasTest, AnOutputWhoseShapeDependsOnDataIsWrittenIntoNoInput) {
  Metadata indices =
      metadata_of({{"x", "float32", {-1, 4}, true}, {"at", "int64", {2, -1}, true}, {"y", "int64", {2, -1}, false}});
  indices.aliased_io = {{"y", "at", "user"}};
  PlanText text;
  text.io = "input x float32 1,4 8,4 8,4\ninput at int64 2,0 2,32 2,32\noutput y int64 nonzero 0 x\n";
  auto opened = open_plan(plan_bytes(text), indices);
  ASSERT_TRUE(is_ok(opened)) << "a context tells it";
  const std::string message = failed_with(opened.value()->make_context(), ErrorCode::Incompatible);
  EXPECT_NE(message.find("depends on data"), std::string::npos) << message;
  EXPECT_FALSE(opened.value()->has_context());
}

#else

TEST_F(AliasTest, IsRefusedBeforeTensorRt11) {
  const std::string message =
      failed_with(open_plan(plan_bytes(plan(false)), metadata("kv_cache_update")), ErrorCode::Incompatible);
  EXPECT_NE(message.find("TensorRT 11"), std::string::npos) << message;
}

#endif

}  // namespace
}  // namespace torchtrt_ws::testing
