// Acceptance: a plan of two optimization profiles, 1 to 2 and 4 to 8 rows. Each call runs in the one that holds it.
#include "acceptance.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::testing {
namespace {

struct How {
  const char* name;
  bool cuda_graph;
  bool block;
  int percent;  // of the weights on the device

  friend void PrintTo(const How& how, std::ostream* out) { *out << how.name; }
};

class ProfileTest : public Acceptance, public ::testing::WithParamInterface<How> {
 protected:
  void SetUp() override {
    Acceptance::SetUp();
    if (profiles_plan().empty()) GTEST_SKIP() << "needs a plan in TORCHTRT_WS_TEST_PROFILES";
    engine_ = make();
    ASSERT_NE(engine_, nullptr);
  }
  void TearDown() override {
    engine_.reset();
    Acceptance::TearDown();
  }

  std::unique_ptr<Engine> make() const {
    OpenOptions options;
    options.cuda_graph = GetParam().cuda_graph ? GraphUse::On : GraphUse::Off;
    options.program = GetParam().block ? this : nullptr;
    auto engine = ready(options, 0, profiles_plan());
    if (engine == nullptr || GetParam().percent == 0) return engine;
    engine->drop_context();
    EXPECT_TRUE(is_ok(engine->set_budget(engine->streamable_bytes() / 100 * GetParam().percent)));
    EXPECT_TRUE(is_ok(engine->make_context()));
    return engine;
  }

  /// Calls on streams in turn, `repeats` of each shape in a row, without waiting between them; then a look at all.
  void alternate(const std::vector<cudaStream_t>& streams, const std::vector<Engine*>& engines,
                 const std::vector<SizesType>& rows, int repeats) {
    std::vector<Tensor> xs, ys;
    for (size_t i = 0; i < rows.size(); ++i) {
      xs.push_back(make_x(rows[i], static_cast<int>(i)));
      ys.push_back(make_y(kMostRows));
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      CallerStreamGuard guard(streams[i % streams.size()]);
      Sink sink({&ys[i]});
      for (int repeat = 0; repeat < repeats; ++repeat) {
        ASSERT_TRUE(is_ok(engines[i % engines.size()]->run({xs[i].view()}, sink))) << "call " << i;
      }
    }
    for (const cudaStream_t stream : streams) synchronize(stream);
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_TRUE(is_answer(ys[i], rows[i], static_cast<int>(i))) << "call " << i << ", " << rows[i] << " rows";
    }
  }

  std::unique_ptr<Engine> engine_;
};

TEST_P(ProfileTest, BoundsAreThoseOfAllProfiles) {
  for (const auto* specs : {&engine_->inputs(), &engine_->outputs()}) {
    EXPECT_EQ((*specs)[0].min, (std::vector<int64_t>{1, width()}));
    EXPECT_EQ((*specs)[0].max, (std::vector<int64_t>{kMostRows, width()}));
  }
}

TEST_P(ProfileTest, CallsThatWaitAlternate) {
  int seed = 0;
  for (const SizesType rows : {8, 1, 4, 2, 2, 8, 8, 1}) {
    EXPECT_TRUE(runs(*engine_, rows, ++seed)) << rows << " rows";
    EXPECT_TRUE(runs(*engine_, rows, ++seed, Where::Pageable, Where::Pageable)) << rows << " rows on the host";
  }
}

TEST_P(ProfileTest, AlternateOnOneStream) {
  Stream stream;
  alternate({stream}, {engine_.get()}, {8, 1, 4, 2, 2, 8, 8, 1, 5, 1}, 1);
  alternate({stream}, {engine_.get()}, {2, 8, 1, 4}, 6);  // enough for graphs
}

TEST_P(ProfileTest, AlternateOnTwoStreams) {
  Stream first, second;
  alternate({first, second}, {engine_.get()}, {8, 1, 4, 2, 2, 8, 8, 1, 5, 1}, 1);
  alternate({first, second}, {engine_.get()}, {2, 8, 1, 4}, 6);
}

TEST_P(ProfileTest, TwoEnginesInDifferentProfiles) {
  auto other = make();
  ASSERT_NE(other, nullptr);
  Stream first, second;
  alternate({first, second}, {engine_.get(), other.get()}, {1, 8, 2, 4, 1, 8}, 3);
  alternate({first, second}, {engine_.get(), other.get()}, {8, 1, 4, 2}, 6);
}

TEST_P(ProfileTest, ShapesBetweenTheProfilesAreRefused) {
  EXPECT_TRUE(runs(*engine_, 8, 1));
  for (int i = 0; i < 2; ++i) {
    Tensor x = make_x(3), y = make_y(3);
    Sink sink({&y});
    const std::string message = failed_with(engine_->run({x.view()}, sink), ErrorCode::BadArgument);
    const std::string columns = ", " + std::to_string(width()) + "]";
    for (const auto& part : {"\"x\" [3" + columns, "0: \"x\" [1..2" + columns, "1: \"x\" [4..8" + columns}) {
      EXPECT_NE(message.find(part), std::string::npos) << message;
    }
    EXPECT_TRUE(runs(*engine_, i == 0 ? 8 : 1, i)) << "the next call works";
  }
}

TEST_P(ProfileTest, BudgetsMayChange) {
  EXPECT_TRUE(runs(*engine_, 8, 1));
  engine_->drop_context();
  ASSERT_TRUE(is_ok(engine_->set_budget(engine_->streamable_bytes() / 3)));
  ASSERT_TRUE(is_ok(engine_->make_context()));
  EXPECT_TRUE(runs(*engine_, 8, 2)) << "a new context starts in profile 0";
  EXPECT_TRUE(runs(*engine_, 1, 3));
}

INSTANTIATE_TEST_SUITE_P(How, ProfileTest,
                         ::testing::Values(How{"resident", false, false, 100}, How{"streamed", false, false, 0},
                                           How{"graph", true, false, 100}, How{"graph_streamed", true, false, 0},
                                           How{"block", false, true, 0}, How{"block_graph", true, true, 100}),
                         [](const auto& how) { return std::string(how.param.name); });

}  // namespace
}  // namespace torchtrt_ws::testing
