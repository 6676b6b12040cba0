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

#else

TEST_F(AliasTest, IsRefusedBeforeTensorRt11) {
  const std::string message =
      failed_with(open_plan(plan_bytes(plan(false)), metadata("kv_cache_update")), ErrorCode::Incompatible);
  EXPECT_NE(message.find("TensorRT 11"), std::string::npos) << message;
}

#endif

}  // namespace
}  // namespace torchtrt_ws::testing
