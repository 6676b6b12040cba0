// Acceptance: a caller who captures his stream into a CUDA graph of his own.
#include "acceptance.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::testing {
namespace {

class Capture : public Acceptance {
 protected:
  void SetUp() override {
    Acceptance::SetUp();
    OpenOptions options;
    options.cuda_graph = GraphUse::Auto;
    engine_ = ready(options);
    ASSERT_NE(engine_, nullptr);
  }
  void TearDown() override {
    engine_.reset();
    Acceptance::TearDown();
  }

  Status run(const Tensor& x, Tensor& y) {
    Sink sink({&y});
    CallerStreamGuard guard(stream_);
    return engine_->run({x.view()}, sink);
  }

  void begin(cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal) {
    const TestsOwn own;
    ASSERT_EQ(cudaStreamBeginCapture(stream_, mode), cudaSuccess);
  }

  /// Ends the capture: whether it gave a graph, which `replay` then has.
  bool end() {
    const TestsOwn own;
    cudaGraph_t graph = nullptr;
    const bool good = cudaStreamEndCapture(stream_, &graph) == cudaSuccess && graph != nullptr;
    if (good) {
      EXPECT_EQ(cudaGraphInstantiate(&graph_, graph, 0), cudaSuccess);
      EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    }
    (void)cudaGetLastError();
    return good;
  }

  void replay() {
    {
      const TestsOwn own;
      ASSERT_EQ(cudaGraphLaunch(graph_, stream_), cudaSuccess);
    }
    synchronize(stream_);
  }

  void destroy() {
    const TestsOwn own;
    EXPECT_EQ(cudaGraphExecDestroy(graph_), cudaSuccess);
  }

  std::unique_ptr<Engine> engine_;
  Stream stream_;
  cudaGraphExec_t graph_ = nullptr;
};

TEST_F(Capture, TheRunIsPartOfTheCallersGraph) {
  for (const auto mode : {cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeGlobal}) {
    Tensor x = make_x(4, 1), y = make_y(4);
    for (int i = 0; i < 12; ++i) ASSERT_TRUE(is_ok(run(x, y)));  // the last ones replay our own graph, in flight
    begin(mode);
    ASSERT_TRUE(is_ok(run(x, y)));
    EXPECT_EQ(last_event(), nullptr) << "nothing to wait for";
    ASSERT_TRUE(end());
    for (const int seed : {5, 6}) {
      fill_x(x, seed);
      replay();
      EXPECT_TRUE(is_answer(y, 4, seed));
    }
    fill_x(x, 7);
    for (int i = 0; i < 12; ++i) ASSERT_TRUE(is_ok(run(x, y)));
    synchronize(stream_);
    EXPECT_TRUE(is_answer(y, 4, 7)) << "runs outside go on";
    destroy();
  }
}

TEST_F(Capture, OtherTensorsAreBoundForIt) {
  Tensor x = make_x(4, 1), y = make_y(4), other = make_y(4);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(is_ok(run(x, y)));
  begin();
  ASSERT_TRUE(is_ok(run(x, other)));
  ASSERT_TRUE(end());
  replay();
  EXPECT_TRUE(is_answer(other, 4, 1));
  destroy();
}

TEST_F(Capture, HostTensorsAndUnalignedOnesAreRefused) {
  Tensor x = make_x(4, 1), y = make_y(4);
  ASSERT_TRUE(is_ok(run(x, y)));
  Tensor host = make_y(4, Where::Pageable), unaligned = make_x(4, 1, Where::Device, 16);
  begin();
  EXPECT_NE(failed_with(run(x, host), ErrorCode::WrongState).find("captured"), std::string::npos);
  EXPECT_NE(failed_with(run(unaligned, y), ErrorCode::WrongState).find("captured"), std::string::npos);
  ASSERT_TRUE(is_ok(run(x, y))) << "the capture goes on";
  ASSERT_TRUE(end());
  replay();
  EXPECT_TRUE(is_answer(y, 4, 1));
  destroy();
}

TEST_F(Capture, NewShapesAreRefused) {
  Tensor x = make_x(8, 1), y = make_y(8);
  ASSERT_TRUE(is_ok(run(x, y)));
  x.sizes[0] = 3;
  begin();
  EXPECT_NE(failed_with(run(x, y), ErrorCode::WrongState).find("Run once"), std::string::npos);
  ASSERT_TRUE(end());
  destroy();
  ASSERT_TRUE(is_ok(run(x, y)));
  synchronize(stream_);
  EXPECT_TRUE(is_answer(y, 3, 1));
}

TEST_F(Capture, SharedActivationMemoryIsRefused) {
  OpenOptions options;
  options.program = this;
  engine_ = ready(options, 0);
  Tensor x = make_x(4, 1), y = make_y(4);
  ASSERT_TRUE(is_ok(run(x, y)));
  begin();
  EXPECT_NE(failed_with(run(x, y), ErrorCode::WrongState).find("use_shared_activation_scratch"), std::string::npos);
  ASSERT_TRUE(end());
  destroy();
  synchronize(stream_);
}

}  // namespace
}  // namespace torchtrt_ws::testing
