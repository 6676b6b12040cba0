// Acceptance: with `cuda_graph` results are those of plain runs, whatever changes between calls.
#include <atomic>
#include <thread>

#include "acceptance.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::testing {
namespace {

struct How {
  int percent;  // of the weights on the device
  GraphUse use;

  friend void PrintTo(const How& how, std::ostream* out) {
    *out << how.percent << (how.use == GraphUse::On ? "% on" : "% auto");
  }
};

class Graph : public Acceptance, public ::testing::WithParamInterface<How> {
 protected:
  static constexpr int kCalls = 12;  // enough for a capture and several replays

  void SetUp() override {
    Acceptance::SetUp();
    OpenOptions options;
    options.cuda_graph = GetParam().use;
    auto opened = open(options);
    ASSERT_TRUE(is_ok(opened));
    engine_ = std::move(opened).value();
    ASSERT_TRUE(is_ok(engine_->set_budget(engine_->streamable_bytes() / 100 * GetParam().percent)));
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

/// Whatever changes from call to call while another thread loads, runs and destroys engines, which allocates.
TEST_P(Graph, EverythingMayChangeWhileOthersLoad) {
  std::atomic<bool> stop{false};
  std::atomic<int> loads{0};
  std::thread other([&] {
    while (!stop || loads == 0) {
      auto engine = ready();
      if (engine == nullptr || !runs(*engine, 3, loads)) ADD_FAILURE() << "load " << loads;
      ++loads;
    }
  });
  Stream first, second;
  const std::array<void*, 3> streams = {nullptr, first, second};
  std::vector<Tensor> xs, ys;
  for (const Where where : {Where::Device, Where::Device, Where::Pageable, Where::Pinned}) {
    xs.push_back(make_x(kMostRows, 0, where));
    ys.push_back(make_y(kMostRows, where));
  }
  xs.push_back(make_x(kMostRows, 0, Where::Device, 16));
  ys.push_back(make_y(kMostRows, Where::Device, 16));
  unsigned int random = 12345;
  const auto below = [&random](size_t count) {
    random = random * 1103515245u + 12345u;
    return (random >> 16) % count;
  };
  for (int round = 0; round < 40; ++round) {
    Tensor& x = xs[below(xs.size())];
    Tensor& y = ys[below(ys.size())];
    void* const stream = streams[below(streams.size())];
    const auto rows = static_cast<SizesType>(1 + below(3) * 3);
    x.sizes[0] = rows;
    if (round % 10 == 9) {
      engine_->drop_context();
      ASSERT_TRUE(is_ok(engine_->set_budget(engine_->streamable_bytes() / 100 * static_cast<int64_t>(below(3) * 50))));
      ASSERT_TRUE(is_ok(engine_->make_context()));
    }
    Sink sink({&y});
    for (size_t i = 0; i < 2 + below(7); ++i) {
      const int seed = static_cast<int>(below(50));
      fill_x(x, seed);
      std::optional<CallerStreamGuard> guard;
      if (stream != nullptr) guard.emplace(stream);
      synchronize();  // x was written on the legacy stream, which a caller's stream does not wait for
      ASSERT_TRUE(is_ok(engine_->run({x.view()}, sink))) << "round " << round;
      if (stream != nullptr) synchronize(stream);
      ASSERT_TRUE(is_answer(y, rows, seed)) << "round " << round << ", call " << i;
    }
  }
  stop = true;
  other.join();
}

INSTANTIATE_TEST_SUITE_P(Percent, Graph,
                         ::testing::Values(How{100, GraphUse::On}, How{50, GraphUse::On}, How{0, GraphUse::On},
                                           How{100, GraphUse::Auto}, How{0, GraphUse::Auto}));

}  // namespace
}  // namespace torchtrt_ws::testing
