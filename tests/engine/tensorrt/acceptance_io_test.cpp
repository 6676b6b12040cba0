// Acceptance: tensors in all kinds of memory, shapes, and arguments that are refused.
#include "acceptance.h"

namespace torchtrt_ws::testing {
namespace {

class Io : public Acceptance {};

struct Placement {
  Where in, out;
  size_t misalign;  // bytes
};

class Placed : public Io, public ::testing::WithParamInterface<Placement> {};

TEST_P(Placed, RunsAtEveryShapeAndBackAgain) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  int seed = 0;
  for (const SizesType rows : {1, 8, 3, 3, 1, 8}) {
    EXPECT_TRUE(runs(*engine, rows, ++seed, GetParam().in, GetParam().out, GetParam().misalign)) << rows << " rows";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Memory, Placed,
    ::testing::Values(Placement{Where::Device, Where::Device, 0}, Placement{Where::Device, Where::Device, 16},
                      Placement{Where::Pageable, Where::Pageable, 0}, Placement{Where::Pageable, Where::Pageable, 16},
                      Placement{Where::Pinned, Where::Pinned, 4}, Placement{Where::Device, Where::Pageable, 0},
                      Placement{Where::Pageable, Where::Device, 0}, Placement{Where::Pageable, Where::Device, 48}));

TEST_F(Io, MemoryMayChangeKindFromCallToCall) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  int seed = 0;
  for (const Where in : {Where::Device, Where::Pageable, Where::Device, Where::Pinned}) {
    for (const Where out : {Where::Pageable, Where::Device}) {
      for (const size_t misalign : {size_t{0}, size_t{16}}) EXPECT_TRUE(runs(*engine, 4, ++seed, in, out, misalign));
    }
  }
}

TEST_F(Io, TensorsOfAnotherDeviceAreRefused) {
  if (device_count() < 2) GTEST_SKIP() << "needs two devices";
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Tensor x(ScalarType::Float, {2, width()}, Where::Device, 0, 1);
  Tensor y = make_y(2);
  Sink sink({&y});
  const std::string message = failed_with(engine->run({x.view()}, sink), ErrorCode::BadArgument);
  EXPECT_NE(message.find("device 1"), std::string::npos) << message;
  Tensor good = make_x(2), far(ScalarType::Float, {2, width()}, Where::Device, 0, 1);
  Sink far_sink({&far});
  failed_with(engine->run({good.view()}, far_sink), ErrorCode::BadArgument);
  EXPECT_TRUE(runs(*engine, 2)) << "the next call works";
}

TEST_F(Io, AnInputWithoutMemoryIsRefused) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(2), y = make_y(2);
  TensorView view = x.view();
  view.data = nullptr;
  Sink sink({&y});
  failed_with(engine->run({view}, sink), ErrorCode::BadArgument);
  EXPECT_TRUE(runs(*engine, 2));
}

TEST_F(Io, AnOutputThatIsTooSmallIsRefusedInTheSinksWords) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(8), y = make_y(1);
  Sink sink({&y});
  EXPECT_NE(failed_with(engine->run({x.view()}, sink), ErrorCode::BadArgument).find("Plan more"), std::string::npos);
  EXPECT_TRUE(runs(*engine, 1));
  EXPECT_TRUE(runs(*engine, 8));
}

TEST_F(Io, AShapeOutOfBoundsDoesNoHarm) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(runs(*engine, 2));
  Tensor x = make_x(kMostRows + 1), y = make_y(kMostRows + 1);
  Sink sink({&y});
  EXPECT_FALSE(engine->run({x.view()}, sink).ok()) << "the port's caller checks it first; TensorRT does too";
  EXPECT_TRUE(runs(*engine, 2));
  EXPECT_TRUE(runs(*engine, 8));
}

}  // namespace
}  // namespace torchtrt_ws::testing
