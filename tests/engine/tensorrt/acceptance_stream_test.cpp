// Acceptance: the caller's stream, and the engine's own.
#include <chrono>
#include <thread>

#include "acceptance.h"
#include "caller_stream.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::testing {
namespace {

class StreamTest : public Acceptance {
 protected:
  void SetUp() override {
    Acceptance::SetUp();
    engine_ = ready();
    ASSERT_NE(engine_, nullptr);
  }
  void TearDown() override {
    engine_.reset();
    Acceptance::TearDown();
  }

  Status run(Tensor& x, Tensor& y) {
    Sink sink({&y});
    return engine_->run({x.view()}, sink);
  }

  std::unique_ptr<Engine> engine_;
};

TEST_F(StreamTest, WorkIsOrderedWithTheCallersStream) {
  Stream stream;
  Tensor x = make_x(4, 1), y = make_y(4), zero = make_x(4, 0);
  {
    CallerStreamGuard guard(stream);
    // The run must see what this copy brings, and this copy must come after the one before.
    ASSERT_EQ(cudaMemcpyAsync(x.memory.data(), zero.memory.data(), x.nbytes(), cudaMemcpyDeviceToDevice, stream),
              cudaSuccess);
    ASSERT_TRUE(is_ok(run(x, y)));
  }
  synchronize(stream);
  EXPECT_TRUE(is_answer(y, 4, 0));
}

TEST_F(StreamTest, WithoutAGuardResultsAreThereOnReturn) {
  Tensor x = make_x(4, 2, Where::Pinned), y = make_y(4, Where::Pinned);
  ASSERT_TRUE(is_ok(run(x, y)));
  EXPECT_TRUE(is_answer(y, 4, 2));
  Tensor device_x = make_x(4, 3), device_y = make_y(4);
  ASSERT_TRUE(is_ok(run(device_x, device_y)));
  Stream other;  // does not wait for anyone: the result must be there already
  std::vector<float> values(4 * static_cast<size_t>(width()));
  ASSERT_EQ(cudaMemcpyAsync(values.data(), device_y.memory.data(), device_y.nbytes(), cudaMemcpyDeviceToHost, other),
            cudaSuccess);
  synchronize(other);
  EXPECT_TRUE(is_answer(device_y, 4, 3));
  EXPECT_EQ(values, device_y.get<float>());
}

TEST_F(StreamTest, WithoutAGuardWorkOnTheDefaultStreamIsSeen) {
  Tensor x = make_x(4, 1), other = make_x(4, 6), y = make_y(4);
  ASSERT_EQ(cudaMemcpyAsync(x.memory.data(), other.memory.data(), x.nbytes(), cudaMemcpyDeviceToDevice, nullptr),
            cudaSuccess);
  ASSERT_TRUE(is_ok(run(x, y)));
  EXPECT_TRUE(is_answer(y, 4, 6));
}

TEST_F(StreamTest, TheNullStreamCanBeTheCallers) {
  CallerStreamGuard guard(nullptr);
  Tensor x = make_x(4, 4), y = make_y(4);
  ASSERT_TRUE(is_ok(run(x, y)));
  synchronize();
  EXPECT_TRUE(is_answer(y, 4, 4));
}

TEST_F(StreamTest, HostTensorsAreReadyOnReturnOnTheCallersStreamToo) {
  Stream stream;
  CallerStreamGuard guard(stream);
  Tensor x = make_x(4, 7, Where::Pageable), y = make_y(4, Where::Pageable);
  ASSERT_TRUE(is_ok(run(x, y)));
  EXPECT_TRUE(is_answer(y, 4, 7));
  fill_x(x, 8);
  Tensor device_y = make_y(4);
  ASSERT_TRUE(is_ok(run(x, device_y)));
  fill_x(x, 9);  // a host input has been read when the call returns
  synchronize(stream);
  EXPECT_TRUE(is_answer(device_y, 4, 8));
}

TEST_F(StreamTest, GuardsNest) {
  Stream outer, inner;
  Tensor x = make_x(2, 1), y = make_y(2), z = make_y(2);
  CallerStreamGuard outer_guard(outer);
  {
    CallerStreamGuard inner_guard(inner);
    ASSERT_TRUE(is_ok(run(x, y)));
  }
  ASSERT_TRUE(is_ok(run(x, z)));
  synchronize(outer);  // the second run comes after the first, also across streams
  EXPECT_TRUE(is_answer(z, 2, 1));
  synchronize(inner);
  EXPECT_TRUE(is_answer(y, 2, 1));
}

TEST_F(StreamTest, TwoStreamsInTurnWithoutWaiting) {
  Stream first, second;
  std::vector<Tensor> xs, ys;
  for (int i = 0; i < 8; ++i) {
    xs.push_back(make_x(1 + i % 4, i, Where::Device, i % 3 == 0 ? 16 : 0));
    ys.push_back(make_y(kMostRows, Where::Device, i % 2 == 0 ? 16 : 0));
  }
  for (size_t i = 0; i < xs.size(); ++i) {
    CallerStreamGuard guard(i % 2 == 0 ? first : second);
    ASSERT_TRUE(is_ok(run(xs[i], ys[i])));
  }
  synchronize(second);
  synchronize(first);
  for (size_t i = 0; i < xs.size(); ++i)
    EXPECT_TRUE(is_answer(ys[i], 1 + static_cast<int>(i) % 4, static_cast<int>(i)));
}

TEST_F(StreamTest, ChangesWaitForWorkInFlight) {
  Stream stream;
  Tensor x = make_x(4, 1), y = make_y(4), other_x = make_x(8, 2), other_y = make_y(8);
  {
    CallerStreamGuard guard(stream);
    ASSERT_TRUE(is_ok(run(x, y)));
    ASSERT_TRUE(is_ok(run(other_x, other_y)));
    engine_->drop_context();
    ASSERT_TRUE(is_ok(engine_->set_budget(0)));
    ASSERT_TRUE(is_ok(engine_->make_context()));
  }
  synchronize(stream);
  EXPECT_TRUE(is_answer(y, 4, 1));
  EXPECT_TRUE(is_answer(other_y, 8, 2));
}

TEST_F(StreamTest, AnEngineMayGoWhileItsWorkIsInFlight) {
  Stream stream;
  Tensor x = make_x(4, 3, Where::Device, 16), y = make_y(4, Where::Device, 16);
  {
    CallerStreamGuard guard(stream);
    ASSERT_TRUE(is_ok(run(x, y)));
    engine_.reset();
  }
  synchronize(stream);
  EXPECT_TRUE(is_answer(y, 4, 3));
}

TEST_F(StreamTest, AGuardMayGoFromOneCallToTheNext) {
  Stream stream;
  Tensor x = make_x(4, 1), y = make_y(4), z = make_y(4, Where::Pageable);
  {
    CallerStreamGuard guard(stream);
    ASSERT_TRUE(is_ok(run(x, y)));
  }
  Tensor host = make_x(4, 5, Where::Pageable);
  ASSERT_TRUE(is_ok(run(host, z)));
  EXPECT_TRUE(is_answer(z, 4, 5));
  synchronize(stream);
  EXPECT_TRUE(is_answer(y, 4, 1));
}

void wait_a_while(void*) { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }

// Whoever writes the input has not done so when the call comes, and only the stream knows.
TEST_F(StreamTest, AnInputThatIsWrittenLateOnExecuTorchsStreamIsSeen) {
  Stream stream;
  for (const Where to : {Where::Device, Where::Pinned, Where::Pageable}) {
    for (const size_t misaligned : {size_t{0}, size_t{16}}) {
      Tensor x = make_x(4, 1, Where::Device, misaligned), late = make_x(4, 6), y = make_y(4, to);
      const executorch::extension::cuda::CallerStreamGuard guard(stream);
      ASSERT_EQ(cudaLaunchHostFunc(stream, wait_a_while, nullptr), cudaSuccess);
      ASSERT_EQ(cudaMemcpyAsync(x.memory.data(), late.memory.data(), x.nbytes(), cudaMemcpyDeviceToDevice, stream),
                cudaSuccess);
      ASSERT_TRUE(is_ok(run(x, y)));
      EXPECT_EQ(last_event(), nullptr);
      EXPECT_EQ(cudaStreamQuery(stream), cudaSuccess);  // results are there on return, for everybody
      EXPECT_TRUE(is_answer(y, 4, 6)) << misaligned;
    }
  }
}

TEST_F(StreamTest, TheLastEventEndsWithTheWork) {
  Stream stream, other;
  Tensor x = make_x(4, 1), late = make_x(4, 6), y = make_y(4), copy = make_y(4);
  {
    const CallerStreamGuard guard(stream);
    ASSERT_EQ(cudaLaunchHostFunc(stream, wait_a_while, nullptr), cudaSuccess);
    ASSERT_EQ(cudaMemcpyAsync(x.memory.data(), late.memory.data(), x.nbytes(), cudaMemcpyDeviceToDevice, stream),
              cudaSuccess);
    ASSERT_TRUE(is_ok(run(x, y)));
  }
  const auto event = static_cast<cudaEvent_t>(last_event());
  ASSERT_NE(event, nullptr);
  ASSERT_EQ(cudaStreamWaitEvent(other, event, 0), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(copy.memory.data(), y.memory.data(), y.nbytes(), cudaMemcpyDeviceToDevice, other),
            cudaSuccess);
  synchronize(other);
  EXPECT_TRUE(is_answer(copy, 4, 6));
  Tensor host_x = make_x(4, 2, Where::Pageable);
  ASSERT_TRUE(is_ok(run(host_x, y)));
  EXPECT_EQ(last_event(), nullptr);
}

}  // namespace
}  // namespace torchtrt_ws::testing
