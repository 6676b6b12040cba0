// Types, ranks and sizes that the acceptance plan does not have, and how many bytes are copied for them.
#include "standin_support.h"

namespace torchtrt_ws::testing {
namespace {

class StandinIo : public Adapter {
 protected:
  template <typename T>
  static void put(Tensor& tensor, std::initializer_list<double> values) {
    std::vector<T> cast;
    for (const double value : values) cast.push_back(static_cast<T>(value));
    tensor.put(cast);
  }

  /// y = 3 * x + 1, given as bits of the type.
  template <typename T>
  static void runs_in(const std::string& dtype, ScalarType type, const std::vector<T>& in, const std::vector<T>& out) {
    SCOPED_TRACE(dtype);
    auto engine = ready("input x " + dtype + " 3 3 3\noutput y " + dtype + " affine 1 3*x\n",
                        {{"x", dtype, {3}, true}, {"y", dtype, {3}, false}});
    ASSERT_NE(engine, nullptr);
    EXPECT_EQ(engine->inputs()[0].dtype, type);
    for (const Where where : {Where::Device, Where::Pageable}) {
      Tensor x(type, {3}, where), y(type, {3}, where);
      x.put(in);
      Sink sink({&y});
      ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
      EXPECT_EQ(y.get<T>(), out);
    }
  }
};

TEST_F(StandinIo, EveryType) {
  runs_in<float>("float32", ScalarType::Float, {0, 1, 2}, {1, 4, 7});
  runs_in<uint16_t>("float16", ScalarType::Half, {0, 0x3C00, 0x4000}, {0x3C00, 0x4400, 0x4700});
  runs_in<uint16_t>("bfloat16", ScalarType::BFloat16, {0, 0x3F80, 0x4000}, {0x3F80, 0x4080, 0x40E0});
  runs_in<int8_t>("int8", ScalarType::Char, {0, 1, -2}, {1, 4, -5});
  runs_in<uint8_t>("uint8", ScalarType::Byte, {0, 1, 2}, {1, 4, 7});
  runs_in<int32_t>("int32", ScalarType::Int, {0, 1, -200000}, {1, 4, -599999});
  runs_in<int64_t>("int64", ScalarType::Long, {0, 1, int64_t{1} << 40}, {1, 4, (int64_t{3} << 40) + 1});
  runs_in<uint8_t>("bool", ScalarType::Bool, {0, 1, 1}, {1, 1, 1});
}

TEST_F(StandinIo, OutputsOfRankZero) {
  auto engine = ready("input x float32 1,4 8,4 8,4\noutput y float32 sum 1 1*x\n",
                      {{"x", "float32", {-1, 4}, true}, {"y", "float32", {}, false}});
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(engine->outputs()[0].max.empty());
  for (const Where where : {Where::Device, Where::Pageable}) {
    Tensor x(ScalarType::Float, {2, 4}, where), y(ScalarType::Float, {}, where);
    put<float>(x, {1, 2, 3, 4, 5, 6, 7, 8});
    Sink sink({&y});
    ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
    EXPECT_EQ(y.get<float>(), std::vector<float>{37});
    EXPECT_TRUE(y.sizes.empty());
  }
}

TEST_F(StandinIo, AScalarOfTheProgramMayHaveRankOneInTheEngine) {
  PlanText text;
  text.io = "input x float32 4 4 4\noutput y float32 sum1 0 1*x\n";
  Metadata metadata = metadata_of({{"x", "float32", {4}, true}, {"y", "float32", {}, false}});
  OwnFacts own{};
  own.schema = 1;
  own.name = "forward";
  own.kind = "tensorrt";
  own.program_engines = 1;
  own.inputs = {{"x", "float32", {4}, {4}, {4}}};
  own.outputs = {{"y", "float32", {}, {}, {}}};
  metadata.own = own;
  auto engine = made_ready(open_plan(plan_bytes(text), metadata));
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(engine->outputs()[0].max.empty());
  Tensor x(ScalarType::Float, {4}), y(ScalarType::Float, {});
  put<float>(x, {1, 2, 3, 4});
  Sink sink({&y});
  ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  EXPECT_TRUE(y.sizes.empty());
  EXPECT_EQ(y.get<float>(), std::vector<float>{10});
}

TEST_F(StandinIo, TensorsWithoutElements) {
  auto engine = ready("input x float32 0,4 8,4 8,4\noutput y float32 affine 1 2*x\noutput s float32 sum 5 1*x\n",
                      {{"x", "float32", {-1, 4}, true}, {"y", "float32", {-1, 4}, false}, {"s", "float32", {}, false}});
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(engine->inputs()[0].min, (std::vector<int64_t>{0, 4}));
  EXPECT_EQ(engine->outputs()[0].min, (std::vector<int64_t>{0, 4}));
  for (const Where where : {Where::Device, Where::Pageable}) {
    Tensor x(ScalarType::Float, {0, 4}, where), y(ScalarType::Float, {8, 4}, where), s(ScalarType::Float, {}, where);
    TensorView none = x.view();
    none.data = nullptr;  // as a program's own empty tensors may have it
    Sink sink({&y, &s});
    ASSERT_TRUE(is_ok(engine->run({none}, sink)));
    EXPECT_EQ(y.sizes, (std::vector<SizesType>{0, 4}));
    EXPECT_EQ(s.get<float>(), std::vector<float>{5});
    Tensor one(ScalarType::Float, {1, 4}, where);
    put<float>(one, {1, 2, 3, 4});
    ASSERT_TRUE(is_ok(engine->run({one.view()}, sink)));
    EXPECT_EQ(y.get<float>(), (std::vector<float>{3, 5, 7, 9}));
    EXPECT_EQ(s.get<float>(), std::vector<float>{15});
  }
}

TEST_F(StandinIo, TensorsWithoutElementsAfterSleep) {
  auto engine = ready("input x float32 0,4 8,4 8,4\noutput y float32 affine 1 2*x\n",
                      {{"x", "float32", {-1, 4}, true}, {"y", "float32", {-1, 4}, false}});
  ASSERT_NE(engine, nullptr);
  Tensor none(ScalarType::Float, {0, 4}), one(ScalarType::Float, {1, 4}), y(ScalarType::Float, {8, 4});
  put<float>(one, {1, 2, 3, 4});
  Sink sink({&y});
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(is_ok(engine->run({none.view()}, sink))) << "round " << round;
    EXPECT_EQ(y.sizes, (std::vector<SizesType>{0, 4}));
    ASSERT_TRUE(is_ok(engine->run({one.view()}, sink)));
    EXPECT_EQ(y.get<float>(), (std::vector<float>{3, 5, 7, 9}));
    const int64_t awake = standin_live_bytes("device");
    engine->drop_context();  // as the delegate's sleep() and wake() do
    engine->release_staging();
    EXPECT_LT(standin_live_bytes("device"), awake) << "nothing is kept for them in its sleep";
    ASSERT_TRUE(is_ok(engine->make_context()));
  }
}

TEST_F(StandinIo, SeveralTensorsInOrderAndInMixedMemory) {
  auto engine = ready(
      "input b float32 2 2 2\ninput a float32 2 2 2\ninput c int32 1 1 1\n"
      "output difference float32 affine 0 1*a -1*b\noutput plus float32 affine 0 1*a 1*c\n",
      {{"a", "float32", {2}, true},
       {"b", "float32", {2}, true},
       {"c", "int32", {1}, true},
       {"plus", "float32", {2}, false},
       {"difference", "float32", {2}, false}});
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(engine->inputs()[0].name, "a") << "the metadata's order, not the engine's";
  for (int mix = 0; mix < 32; ++mix) {
    const auto where = [mix](int bit) { return (mix >> bit & 1) != 0 ? Where::Pageable : Where::Device; };
    Tensor a(ScalarType::Float, {2}, where(0), 16), b(ScalarType::Float, {2}, where(1)),
        c(ScalarType::Int, {1}, where(2), 4);
    Tensor plus(ScalarType::Float, {2}, where(3)), difference(ScalarType::Float, {2}, where(4), 32);
    put<float>(a, {10, 20});
    put<float>(b, {1, 2});
    put<int32_t>(c, {5});
    Sink sink({&plus, &difference});
    ASSERT_TRUE(is_ok(engine->run({a.view(), b.view(), c.view()}, sink)));
    EXPECT_EQ(plus.get<float>(), (std::vector<float>{15, 25}));
    EXPECT_EQ(difference.get<float>(), (std::vector<float>{9, 18}));
  }
}

/// Floats in the host tensors of a call, and the bytes of it that cross in copies of CUDA's own.
struct Crossed {
  SizesType count;
  int64_t pageable;
};
class LargeHostTensors : public StandinIo, public ::testing::WithParamInterface<Crossed> {};

TEST_P(LargeHostTensors, CrossInPieces) {
  const SizesType count = GetParam().count;
  const std::string size = std::to_string(count);
  auto engine = ready("input x float32 " + size + " " + size + " " + size + "\noutput y float32 affine 1 2*x\n",
                      {{"x", "float32", {count}, true}, {"y", "float32", {count}, false}});
  ASSERT_NE(engine, nullptr);
  Tensor x(ScalarType::Float, {count}, Where::Pageable), y(ScalarType::Float, {count}, Where::Pageable);
  std::vector<float> values(static_cast<size_t>(count)), want(values.size());
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>((i + static_cast<size_t>(round)) % 1013);
      want[i] = 2 * values[i] + 1;
    }
    x.put(values);
    Sink sink({&y});
    ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
    EXPECT_TRUE(y.get<float>() == want);
  }
  EXPECT_EQ(standin_bytes("h2d"), 2 * 4 * count);
  EXPECT_GT(standin_calls("cudaMemcpyAsync"), 2 * 4) << "copies on the host and over the bus overlap";
  EXPECT_EQ(standin_bytes("pageable"), 2 * GetParam().pageable);
}

// What comes back goes through pinned memory below 4 MiB (crossing.h).
INSTANTIATE_TEST_SUITE_P(Sizes, LargeHostTensors,
                         ::testing::Values(Crossed{(1 << 20) - 64, 0}, Crossed{1 << 20, 4 << 20},
                                           Crossed{3'000'000, 12'000'000}));

TEST_F(StandinIo, HostMemoryIsBoundOnlyWhereTheDeviceReadsIt) {
  standin_set("pageable_access", 1);
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(runs(*engine, 4, 1, Where::Pageable, Where::Pageable));
  EXPECT_EQ(standin_bytes("h2d") + standin_bytes("d2h"), 0) << "bound in place";
  EXPECT_TRUE(runs(*engine, 4, 2, Where::Pageable, Where::Pageable, 16)) << "not aligned: copied";
  EXPECT_GT(standin_bytes("h2d"), 0);
}

TEST_F(StandinIo, DeviceTensorsAreCopiedOnlyWhenTheyAreNotAligned) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(4), y = make_y(4), odd_x = make_x(4, 1, Where::Device, 16), odd_y = make_y(4, Where::Device, 16);
  const auto bytes = static_cast<int64_t>(x.nbytes());
  standin_reset();
  Sink sink({&y});
  ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  EXPECT_EQ(standin_bytes("d2d") + standin_bytes("h2d") + standin_bytes("d2h"), 0);
  Sink odd_sink({&odd_y});
  ASSERT_TRUE(is_ok(engine->run({odd_x.view()}, odd_sink)));
  EXPECT_EQ(standin_bytes("d2d"), 2 * bytes);
  EXPECT_EQ(standin_bytes("h2d") + standin_bytes("d2h"), 0);
}

TEST_F(Adapter, WhatTensorRTSaysOfAPlansNamesForgesNoLine) {
  const std::string name = "\x1b[31mforged";
  auto engine = ready("input " + name + " float32 1,4 8,4 8,4\noutput y float32 affine 1.0 2.0*" + name + "\n",
                      {{name, "float32", {-1, 4}, true}, {"y", "float32", {-1, 4}, false}});
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(9), y(ScalarType::Float, {9, width()});
  Sink sink({&y});
  const std::string message = failed_with(engine->run({x.view()}, sink), ErrorCode::EngineFault);
  EXPECT_NE(message.find("for tensor \\x1b[31mforged"), std::string::npos) << message;
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace torchtrt_ws::testing
