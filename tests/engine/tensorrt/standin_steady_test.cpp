// A call in steady state: what it must not do, counted.
#include <atomic>
#include <cstdlib>
#include <new>

#include "standin_support.h"
#include "torchtrt_ws/stream.h"

namespace {

std::atomic<int64_t> allocations{0};
thread_local bool counting = false;

}  // namespace

// Counts what the adapter takes from the heap; the stand-ins' own allocations do not count.
void* operator new(size_t size) {
  if (counting && standin_inside() == 0) ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
// Not inlined, or the compiler sees free() of what new returned.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace torchtrt_ws::testing {
namespace {

class Steady : public Adapter {
 protected:
  static constexpr int kWarm = 4, kCalls = 20;

  /// A sink that allocates nothing, for counting.
  class FixedSink final : public OutputSink {
   public:
    explicit FixedSink(TensorView view) : view_(view) {}
    Result<TensorView> resize(size_t, const SizesType*, size_t) override { return view_; }

   private:
    TensorView view_;
  };

  /// x and y of ready_wide().
  struct WideHostTensors {
    explicit WideHostTensors(SizesType columns)
        : x(ScalarType::Float, {4, columns}, Where::Pageable), y(ScalarType::Float, {4, columns}, Where::Pageable) {
      std::vector<float> values(static_cast<size_t>(4 * columns));
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 1009);
      x.put(values);
    }
    void expect_answer() const {
      const auto in = x.get<float>(), out = y.get<float>();
      size_t wrong = 0;
      for (size_t i = 0; i < in.size(); ++i) wrong += out[i] == 2 * in[i] + 1 ? 0 : 1;
      EXPECT_EQ(wrong, 0u);
    }
    Tensor x, y;
  };

  /// Calls of `function` over kCalls runs in steady state.
  void count(Engine& engine, const Tensor& x, const Tensor& y, void* stream) {
    const std::vector<TensorView> inputs = {x.view()};
    FixedSink sink(y.view());
    std::optional<CallerStreamGuard> guard;
    if (stream != nullptr) guard.emplace(stream);
    for (int i = 0; i < kWarm; ++i) ASSERT_TRUE(is_ok(engine.run(inputs, sink)));
    standin_reset();
    allocations = 0;
    counting = true;
    bool ok = true;
    for (int i = 0; i < kCalls; ++i) ok = engine.run(inputs, sink).ok() && ok;
    counting = false;
    ASSERT_TRUE(ok);
    EXPECT_EQ(allocations, 0) << "on the heap";
    for (const char* function :
         {"cudaMalloc", "cudaMallocAsync", "cudaMallocHost", "cudaHostAlloc", "cudaFree", "cudaFreeHost",
          "cudaStreamCreateWithFlags", "cudaEventCreateWithFlags", "cudaDeviceSynchronize", "cudaSetDevice",
          "cudaMemcpy", "setInputShape", "setTensorAddress", "setInputTensorAddress", "setOutputTensorAddress",
          "inferShapes", "getTensorShape", "getIOTensorName", "cudaMemGetInfo"}) {
      EXPECT_EQ(standin_calls(function), 0) << function;
    }
  }
};

TEST_F(Steady, OnACallersStreamNothingWaits) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Stream stream;
  Tensor x = make_x(4, 3), y = make_y(4);
  count(*engine, x, y, stream);
  EXPECT_EQ(standin_calls("enqueueV3"), kCalls);
  for (const char* function :
       {"cudaStreamSynchronize", "cudaEventSynchronize", "cudaStreamQuery", "cudaEventQuery", "cudaMemcpyAsync"}) {
    EXPECT_EQ(standin_calls(function), 0) << function;
  }
  synchronize(stream);
  EXPECT_TRUE(is_answer(y, 4, 3));
}

TEST_F(Steady, UnalignedTensorsOnACallersStreamNeitherWait) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Stream stream;
  Tensor x = make_x(4, 3, Where::Device, 16), y = make_y(4, Where::Device, 16);
  count(*engine, x, y, stream);
  EXPECT_EQ(standin_calls("cudaStreamSynchronize") + standin_calls("cudaEventSynchronize"), 0);
  EXPECT_EQ(standin_calls("cudaMemcpyAsync"), 2 * kCalls);
  synchronize(stream);
  EXPECT_TRUE(is_answer(y, 4, 3));
}

TEST_F(Steady, WithoutACallersStreamEachCallWaitsOnce) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(4, 3), y = make_y(4);
  count(*engine, x, y, nullptr);
  EXPECT_EQ(standin_calls("cudaStreamSynchronize") + standin_calls("cudaEventSynchronize"), kCalls);
  EXPECT_EQ(standin_calls("cudaMemcpyAsync"), 0);
}

TEST_F(Steady, HostTensorsCrossThroughPinnedMemory) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(4, 3, Where::Pageable), y = make_y(4, Where::Pageable);
  count(*engine, x, y, nullptr);
  EXPECT_EQ(standin_calls("cudaMemcpyAsync"), 2 * kCalls);
  EXPECT_EQ(standin_bytes("pageable"), 0);
  EXPECT_EQ(standin_calls("cudaStreamSynchronize"), kCalls);
  EXPECT_TRUE(is_answer(y, 4, 3));
}

TEST_F(Steady, LargerOnesCrossInOneCopyEachWay) {
  constexpr SizesType kColumns = 8192;  // 128 KiB
  auto engine = ready_wide(kColumns);
  ASSERT_NE(engine, nullptr);
  WideHostTensors tensors(kColumns);
  count(*engine, tensors.x, tensors.y, nullptr);
  EXPECT_EQ(standin_calls("cudaMemcpyAsync"), 2 * kCalls);
  EXPECT_EQ(standin_bytes("pageable"), 0);
  EXPECT_EQ(standin_calls("cudaStreamSynchronize"), kCalls);
  tensors.expect_answer();
}

TEST_F(Steady, SeveralHostTensorsCrossInOneCopyEachWay) {
  auto engine = ready(
      "input a float32 4 4 4\ninput b float32 4 4 4\noutput c float32 affine 0 1*a 2*b\noutput d float32 affine 1 "
      "1*a\n",
      {{"a", "float32", {4}, true},
       {"b", "float32", {4}, true},
       {"c", "float32", {4}, false},
       {"d", "float32", {4}, false}});
  ASSERT_NE(engine, nullptr);
  Tensor a(ScalarType::Float, {4}, Where::Pageable), b(ScalarType::Float, {4}, Where::Pageable);
  Tensor c(ScalarType::Float, {4}, Where::Pageable), d(ScalarType::Float, {4}, Where::Pageable);
  a.put<float>({1, 2, 3, 4});
  b.put<float>({10, 20, 30, 40});
  Sink sink({&c, &d});
  standin_reset();
  for (int i = 0; i < kCalls; ++i) ASSERT_TRUE(is_ok(engine->run({a.view(), b.view()}, sink)));
  EXPECT_EQ(standin_calls("cudaMemcpyAsync"), 2 * kCalls);
  EXPECT_EQ(standin_bytes("pageable"), 0);
  EXPECT_EQ(c.get<float>(), (std::vector<float>{21, 42, 63, 84}));
  EXPECT_EQ(d.get<float>(), (std::vector<float>{2, 3, 4, 5}));
}

TEST_F(Steady, ShapesAndAddressesAreSetOnlyWhenTheyChange) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(8, 1), y = make_y(8), other = make_y(8);
  auto run = [&](SizesType rows, Tensor& output) {
    standin_reset();
    x.sizes[0] = rows;
    Sink sink({&output});
    ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  };
  run(8, y);
  run(8, other);
  EXPECT_EQ(standin_calls("setInputShape"), 0);
  EXPECT_EQ(standin_calls("setTensorAddress"), 1);
  run(4, other);
  EXPECT_EQ(standin_calls("setInputShape"), 1);
  EXPECT_EQ(standin_calls("setTensorAddress"), 0);
  run(4, other);
  EXPECT_EQ(standin_calls("setInputShape") + standin_calls("setTensorAddress"), 0);
  EXPECT_TRUE(is_answer(other, 4, 1));
}

TEST_F(Steady, AChangeOfShapeOnACallersStreamDoesNotWait) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  Stream first, second;
  Tensor x = make_x(8, 1), y = make_y(8), z = make_y(8);
  standin_reset();
  for (const SizesType rows : {8, 3, 5}) {
    CallerStreamGuard guard(rows == 3 ? second : first);
    x.sizes[0] = rows;
    Sink sink({rows == 3 ? &z : &y});
    ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  }
  EXPECT_EQ(standin_calls("setInputShape"), 3);
  EXPECT_EQ(standin_calls("cudaStreamSynchronize") + standin_calls("cudaEventSynchronize"), 0);
  synchronize(first);
  synchronize(second);
  EXPECT_TRUE(is_answer(y, 5, 1));
  EXPECT_TRUE(is_answer(z, 3, 1));
}

TEST_F(Steady, AChangeOfShapeWaitsForAGraphThatHasToGo) {
  OpenOptions options;
  options.cuda_graph = GraphUse::On;
  auto engine = ready({}, options);
  ASSERT_NE(engine, nullptr);
  Stream stream;
  Tensor x = make_x(8, 1), y = make_y(8);
  Sink sink({&y});
  CallerStreamGuard guard(stream);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  ASSERT_GT(standin_calls("cudaGraphLaunch"), 0);
  standin_reset();
  x.sizes[0] = 3;
  ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  EXPECT_EQ(standin_calls("cudaEventSynchronize"), 1);
  synchronize(stream);
  EXPECT_TRUE(is_answer(y, 3, 1));
}

TEST_F(Steady, StaticShapesAreNeverSet) {
  auto engine = ready("input x float32 4 4 4\noutput y float32 affine 0 1*x\n",
                      {{"x", "float32", {4}, true}, {"y", "float32", {4}, false}});
  ASSERT_NE(engine, nullptr);
  Tensor x(ScalarType::Float, {4}), y(ScalarType::Float, {4});
  Sink sink({&y});
  ASSERT_TRUE(is_ok(engine->run({x.view()}, sink)));
  EXPECT_EQ(standin_calls("setInputShape"), 0);
}

TEST_F(Steady, MemoryGrowsToTheLargestCallAndStays) {
  auto engine = ready();
  ASSERT_NE(engine, nullptr);
  EXPECT_TRUE(runs(*engine, 8, 0, Where::Pageable, Where::Pageable));
  const int64_t device = standin_live_bytes("device_total"), pinned = standin_live_bytes("pinned");
  for (const SizesType rows : {1, 8, 3, 8}) EXPECT_TRUE(runs(*engine, rows, rows, Where::Pageable, Where::Pageable));
  EXPECT_EQ(standin_live_bytes("device_total"), device);
  EXPECT_EQ(standin_live_bytes("pinned"), pinned);
}

TEST_F(Steady, GraphsTakeHostTensorsAlong) {
  OpenOptions options;
  options.cuda_graph = GraphUse::On;
  auto engine = ready({}, options);
  ASSERT_NE(engine, nullptr);
  Tensor x = make_x(4, 3, Where::Pageable), y = make_y(4, Where::Pageable);
  count(*engine, x, y, nullptr);
  EXPECT_EQ(standin_calls("cudaGraphLaunch"), kCalls);
  EXPECT_EQ(standin_calls("cudaStreamSynchronize"), kCalls);
  EXPECT_EQ(standin_calls("enqueueV3") + standin_calls("cudaMemcpyAsync"), 0);
  EXPECT_TRUE(is_answer(y, 4, 3));
}

TEST_F(Steady, GraphsLeaveLargeHostTensorsOutside) {
  constexpr SizesType kColumns = 1 << 17;  // 2 MiB, which cross in pieces
  OpenOptions options;
  options.cuda_graph = GraphUse::On;
  auto engine = ready_wide(kColumns, options);
  ASSERT_NE(engine, nullptr);
  WideHostTensors tensors(kColumns);
  count(*engine, tensors.x, tensors.y, nullptr);
  EXPECT_EQ(standin_calls("cudaGraphLaunch"), kCalls);
  EXPECT_EQ(standin_calls("enqueueV3"), 0);
  EXPECT_EQ(standin_calls("cudaMemcpyAsync"), 4 * kCalls);
  tensors.expect_answer();
}

TEST_F(Steady, GraphsReplayWithOneLaunch) {
  OpenOptions options;
  options.cuda_graph = GraphUse::On;
  auto engine = ready({}, options);
  ASSERT_NE(engine, nullptr);
  Stream stream;
  Tensor x = make_x(4, 3), y = make_y(4);
  count(*engine, x, y, stream);
  EXPECT_EQ(standin_calls("cudaGraphLaunch"), kCalls);
  EXPECT_EQ(standin_calls("enqueueV3") + standin_calls("cudaStreamBeginCapture"), 0);
  synchronize(stream);
  EXPECT_TRUE(is_answer(y, 4, 3));
}

}  // namespace
}  // namespace torchtrt_ws::testing
