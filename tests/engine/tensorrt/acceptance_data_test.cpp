// Acceptance: outputs whose shape depends on the data, and inputs whose values are shapes.
#include "acceptance.h"
#include "torchtrt_ws/stream.h"

namespace torchtrt_ws::testing {
namespace {

/// y int64 [2, n]: where x float32 of [1 to 8 rows, width] is not 0.
class DataDependent : public Acceptance, public ::testing::WithParamInterface<bool> {  // whether graphs are asked for
 protected:
  void SetUp() override {
    Acceptance::SetUp();
    if (nonzero_plan().empty()) GTEST_SKIP() << "needs a plan in TORCHTRT_WS_TEST_NONZERO";
    OpenOptions options;
    options.cuda_graph = GetParam() ? GraphUse::On : GraphUse::Off;
    auto opened = open_plan(
        nonzero_plan(), metadata_of({{"x", "float32", {-1, width()}, true}, {"y", "int64", {2, -1}, false}}), options);
    ASSERT_TRUE(is_ok(opened));
    engine_ = std::move(opened).value();
    ASSERT_TRUE(is_ok(engine_->make_context()));
  }
  void TearDown() override {
    engine_.reset();
    Acceptance::TearDown();
  }

  /// Elements that are not 0 lie `step` apart, from `first` on; none when `step` is 0.
  static Tensor make(SizesType rows, size_t first, size_t step, Where where) {
    Tensor x(ScalarType::Float, {rows, width()}, where);
    std::vector<float> values(x.nbytes() / sizeof(float));
    for (size_t i = first; step > 0 && i < values.size(); i += step) values[i] = 1;
    x.put(values);
    return x;
  }

  static ::testing::AssertionResult is_found(const Tensor& y, SizesType rows, size_t first, size_t step) {
    const auto total = static_cast<size_t>(rows) * static_cast<size_t>(width());
    std::vector<int64_t> row_of, column_of;
    for (size_t i = first; step > 0 && i < total; i += step) {
      row_of.push_back(static_cast<int64_t>(i) / width());
      column_of.push_back(static_cast<int64_t>(i) % width());
    }
    if (y.sizes != std::vector<SizesType>{2, static_cast<SizesType>(row_of.size())}) {
      return ::testing::AssertionFailure() << "wrong shape";
    }
    row_of.insert(row_of.end(), column_of.begin(), column_of.end());
    return y.get<int64_t>() == row_of ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << "wrong values";
  }

  Tensor make_indices(Where where, SizesType most = 8) const {
    return Tensor(ScalarType::Long, {2, most * width()}, where);
  }

  std::unique_ptr<Engine> engine_;
};

TEST_P(DataDependent, TheBoundIsWhatTensorRTSays) {
  EXPECT_EQ(engine_->outputs()[0].min, (std::vector<int64_t>{2, 0}));
  EXPECT_EQ(engine_->outputs()[0].max[0], 2);
  EXPECT_GE(engine_->outputs()[0].max[1], 8 * width());
}

TEST_P(DataDependent, EachCallHasAsManyAsThereAre) {
  struct Call {
    SizesType rows;
    size_t first, step;
  };
  for (const Where where : {Where::Device, Where::Pageable, Where::Pinned}) {
    Tensor y = make_indices(where);
    Sink sink({&y});
    for (const Call call : {Call{2, 1, 3}, Call{8, 0, 1}, Call{1, 0, 0}, Call{8, 3, 5}, Call{2, 0, 1}, Call{2, 1, 3},
                            Call{2, 0, 2}, Call{2, 0, 4}, Call{2, 1, 3}}) {
      Tensor x = make(call.rows, call.first, call.step, where);
      ASSERT_TRUE(is_ok(engine_->run({x.view()}, sink)));
      EXPECT_TRUE(is_found(y, call.rows, call.first, call.step)) << call.rows << " rows, step " << call.step;
    }
  }
}

TEST_P(DataDependent, OneShapeAndOtherDataAgainAndAgain) {
  Tensor x = make(8, 0, 1, Where::Device), y = make_indices(Where::Device);
  Sink sink({&y});
  for (size_t i = 0; i < 12; ++i) {
    x = make(8, i, 1 + i % 4, Where::Device);
    ASSERT_TRUE(is_ok(engine_->run({x.view()}, sink)));
    EXPECT_TRUE(is_found(y, 8, i, 1 + i % 4)) << "call " << i;
  }
}

TEST_P(DataDependent, OnTheCallersStreamTheResultIsThereWhenTheCallReturns) {
  Stream stream;
  Tensor x = make(8, 1, 3, Where::Device), y = make_indices(Where::Device);
  Sink sink({&y});
  for (int i = 0; i < 3; ++i) {
    {
      CallerStreamGuard guard(stream);
      ASSERT_TRUE(is_ok(engine_->run({x.view()}, sink)));
      EXPECT_EQ(last_event(), nullptr);
    }
    EXPECT_TRUE(is_found(y, 8, 1, 3));
  }
}

TEST_P(DataDependent, MoreThanThereIsMemoryForIsRefusedAndTheNextCallWorks) {
  Tensor y = make_indices(Where::Device, 1);
  Sink sink({&y});
  for (int i = 0; i < 2; ++i) {
    Tensor many = make(8, 0, 1, Where::Device), few = make(8, 0, 8, Where::Device);
    failed_with(engine_->run({many.view()}, sink), ErrorCode::BadArgument);
    ASSERT_TRUE(is_ok(engine_->run({few.view()}, sink)));
    EXPECT_TRUE(is_found(y, 8, 0, 8));
  }
}

TEST_P(DataDependent, AfterANewContext) {
  Tensor x = make(4, 1, 2, Where::Device), y = make_indices(Where::Device);
  Sink sink({&y});
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(is_ok(engine_->run({x.view()}, sink)));
    EXPECT_TRUE(is_found(y, 4, 1, 2));
    engine_->drop_context();
    if (i == 1) engine_->release_staging();
    ASSERT_TRUE(is_ok(engine_->make_context()));
  }
}

INSTANTIATE_TEST_SUITE_P(How, DataDependent, ::testing::Bool(),
                         [](const auto& graph) { return graph.param ? "graph" : "plain"; });

/// y float32 [k[0], k[1]]: the row x float32 [1, width] as often as k int64 [2] says, from [1, width] to [8, width].
class ShapeInput : public Acceptance, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    Acceptance::SetUp();
    if (shapes_plan().empty()) GTEST_SKIP() << "needs a plan in TORCHTRT_WS_TEST_SHAPES";
    OpenOptions options;
    options.cuda_graph = GetParam() ? GraphUse::On : GraphUse::Off;
    const Metadata metadata = metadata_of(
        {{"x", "float32", {1, width()}, true}, {"k", "int64", {2}, true}, {"y", "float32", {-1, -1}, false}});
    auto opened = open_plan(shapes_plan(), metadata, options);
    ASSERT_TRUE(is_ok(opened));
    engine_ = std::move(opened).value();
    ASSERT_TRUE(is_ok(engine_->make_context()));
  }
  void TearDown() override {
    engine_.reset();
    Acceptance::TearDown();
  }

  static Tensor make_k(int64_t rows, Where where, int64_t columns = width()) {
    Tensor k(ScalarType::Long, {2}, where);
    k.put(std::vector<int64_t>{rows, columns});
    return k;
  }

  ::testing::AssertionResult repeats(SizesType rows, int seed, Where k_where, Where where = Where::Device) {
    Tensor x = make_x(1, seed, where), k = make_k(rows, k_where), y = make_y(kMostRows, where);
    Sink sink({&y});
    Status ran = engine_->run({x.view(), k.view()}, sink);
    if (!ran.ok()) return is_ok(ran);
    if (y.sizes != std::vector<SizesType>{rows, width()}) return ::testing::AssertionFailure() << "wrong shape";
    const auto row = x.get<float>(), all = y.get<float>();
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i] != row[i % row.size()]) return ::testing::AssertionFailure() << "element " << i << " is " << all[i];
    }
    return ::testing::AssertionSuccess();
  }

  std::unique_ptr<Engine> engine_;
};

TEST_P(ShapeInput, BoundsFollowFromTheValuesOfTheProfile) {
  EXPECT_EQ(engine_->outputs()[0].min, (std::vector<int64_t>{1, width()}));
  EXPECT_EQ(engine_->outputs()[0].max, (std::vector<int64_t>{8, width()}));
  EXPECT_EQ(engine_->inputs()[1].max, (std::vector<int64_t>{2}));
}

TEST_P(ShapeInput, ValuesPickTheShapeOfEachCall) {
  int seed = 0;
  for (const Where where : {Where::Pageable, Where::Pinned, Where::Device}) {
    for (const SizesType rows : {4, 1, 8, 8, 8, 8, 8, 2, 8}) {
      EXPECT_TRUE(repeats(rows, ++seed, where, where)) << rows << " rows";
    }
  }
  EXPECT_TRUE(repeats(3, 1, Where::Device, Where::Pageable));
  EXPECT_TRUE(repeats(5, 2, Where::Pageable, Where::Device));
}

TEST_P(ShapeInput, ValuesMayChangeWhereAddressesStay) {
  Tensor x = make_x(1, 1), k = make_k(8, Where::Pageable), y = make_y(kMostRows);
  Sink sink({&y});
  Stream stream;
  CallerStreamGuard guard(stream);
  for (const int64_t rows : {8, 8, 8, 8, 8, 8, 3, 8, 8, 8, 8, 3, 3, 3, 3, 3}) {
    k.put(std::vector<int64_t>{rows, width()});
    ASSERT_TRUE(is_ok(engine_->run({x.view(), k.view()}, sink)));
    k.put(std::vector<int64_t>{77, 77});  // it has been read
    synchronize(stream);
    EXPECT_EQ(y.sizes[0], rows);
  }
}

TEST_P(ShapeInput, ValuesOutsideOfTheProfileAreRefusedAndTheNextCallWorks) {
  Tensor x = make_x(1), y = make_y(kMostRows);
  Sink sink({&y});
  for (const int64_t rows : {int64_t{9}, int64_t{0}, int64_t{-1}, int64_t{1} << 40}) {
    Tensor k = make_k(rows, Where::Pageable);
    const std::string message = failed_with(engine_->run({x.view(), k.view()}, sink), ErrorCode::BadArgument);
    EXPECT_NE(message.find("values of k"), std::string::npos) << message;
    EXPECT_NE(message.find("1..8"), std::string::npos) << message;
    EXPECT_TRUE(repeats(8, 4, Where::Pageable));
  }
}

TEST_P(ShapeInput, AfterANewContext) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(repeats(5, i, Where::Pageable));
    engine_->drop_context();
    ASSERT_TRUE(is_ok(engine_->make_context()));
  }
}

INSTANTIATE_TEST_SUITE_P(How, ShapeInput, ::testing::Bool(),
                         [](const auto& graph) { return graph.param ? "graph" : "plain"; });

}  // namespace
}  // namespace torchtrt_ws::testing
