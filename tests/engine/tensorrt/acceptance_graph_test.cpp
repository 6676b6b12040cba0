// Acceptance: with `cuda_graph` results are those of plain runs, whatever changes between calls.
#include "acceptance.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::testing {
namespace {

class Graph : public Acceptance, public ::testing::WithParamInterface<int> {  // percent of the weights on the device
 protected:
  static constexpr int kCalls = 12;  // enough for a capture and several replays

  void SetUp() override {
    Acceptance::SetUp();
    OpenOptions options;
    options.cuda_graph = true;
    auto opened = open(options);
    ASSERT_TRUE(is_ok(opened));
    engine_ = std::move(opened).value();
    ASSERT_TRUE(is_ok(engine_->set_budget(engine_->streamable_bytes() / 100 * GetParam())));
    ASSERT_TRUE(is_ok(engine_->make_context()));
  }
  void TearDown() override {
    engine_.reset();
    Acceptance::TearDown();
  }

  void repeat(Tensor& x, Tensor& y, SizesType rows, int first_seed) {
    Sink sink({&y});
    x.sizes[0] = rows;
    for (int i = 0; i < kCalls; ++i) {
      fill_x(x, first_seed + i);
      ASSERT_TRUE(is_ok(engine_->run({x.view()}, sink))) << "call " << i;
      ASSERT_TRUE(is_answer(y, rows, first_seed + i)) << "call " << i;
    }
  }

  std::unique_ptr<Engine> engine_;
};

TEST_P(Graph, ReplaysSeeNewContent) {
  Tensor x = make_x(kMostRows), y = make_y(kMostRows);
  repeat(x, y, 4, 1);
}

TEST_P(Graph, ShapesMayChange) {
  Tensor x = make_x(kMostRows), y = make_y(kMostRows);
  repeat(x, y, 4, 1);
  repeat(x, y, 8, 20);
  repeat(x, y, 4, 3);
}

TEST_P(Graph, AddressesMayChangeAndOldMemoryMayGo) {
  for (int round = 0; round < 3; ++round) {
    Tensor x = make_x(kMostRows), y = make_y(kMostRows);
    repeat(x, y, 5, round);
  }
}

TEST_P(Graph, BudgetsMayChange) {
  Tensor x = make_x(kMostRows), y = make_y(kMostRows);
  repeat(x, y, 4, 1);
  engine_->drop_context();
  ASSERT_TRUE(is_ok(engine_->set_budget(engine_->streamable_bytes() / 3)));
  ASSERT_TRUE(is_ok(engine_->make_context()));
  repeat(x, y, 4, 9);
}

TEST_P(Graph, HostTensorsWorkToo) {
  Tensor x = make_x(kMostRows, 0, Where::Pageable), y = make_y(kMostRows, Where::Pageable);
  repeat(x, y, 4, 1);
  repeat(x, y, 2, 7);
}

TEST_P(Graph, TheCallersStreamIsUsed) {
  Stream stream;
  Tensor source = make_x(4), x = make_x(4), y = make_y(4);
  Sink sink({&y});
  for (int i = 0; i < kCalls; ++i) {
    fill_x(source, i);
    CallerStreamGuard guard(stream);
    ASSERT_EQ(cudaMemcpyAsync(x.memory.data(), source.memory.data(), x.nbytes(), cudaMemcpyDeviceToDevice, stream),
              cudaSuccess);
    ASSERT_TRUE(is_ok(engine_->run({x.view()}, sink)));
    synchronize(stream);
    ASSERT_TRUE(is_answer(y, 4, i));
  }
}

INSTANTIATE_TEST_SUITE_P(Percent, Graph, ::testing::Values(100, 50, 0));

}  // namespace
}  // namespace torchtrt_ws::testing
