// Running: arguments checked, outputs resized, faults reported, and the next call works.

#include <executorch/extension/tensor/tensor_ptr.h>
#include <gtest/gtest.h>

#include "engine/caller_stream.h"
#include "fake_engine.h"
#include "torchtrt_ws/engines.h"
#include "torchtrt_ws/last_error.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::aten::ScalarType;
using executorch::extension::make_tensor_ptr;
using executorch::runtime::Error;
using executorch::runtime::EValue;

class Execute : public ::testing::Test {
 protected:
  void SetUp() override {
    reset_device();
    loaded_ = std::make_unique<Loaded>(make_blob("e"));
    ASSERT_EQ(loaded_->error, Error::Ok);
    clear_last_error();
  }

  Error call(std::vector<EValue*> args) {
    executorch::runtime::BackendExecutionContext context;
    return backend().execute(context, loaded_->handle, {args.data(), args.size()});
  }

  std::unique_ptr<Loaded> loaded_;
  float data_[16] = {};
};

TEST_F(Execute, RunsAtEveryShapeWithinTheBounds) {
  for (const int rows : {1, 4, 2}) {
    ASSERT_EQ(loaded_->run(rows, 3.0f), Error::Ok);
    EXPECT_EQ(loaded_->output_shape, (std::vector<int>{rows, 2}));
    EXPECT_EQ(loaded_->output[static_cast<size_t>(rows) * 2 - 1], 6.0f);
  }
  EXPECT_EQ(engines()[0].runs, 3u);
  EXPECT_GT(engines()[0].seconds, 0);
}

TEST_F(Execute, NoEventOfAnEarlierCallIsLeft) {
  char earlier = 0;
  note_event(&earlier);
  ASSERT_EQ(loaded_->run(1, 3.0f), Error::Ok);
  EXPECT_EQ(last_event(), nullptr);
  note_event(&earlier);
  device().fault = true;
  EXPECT_EQ(loaded_->run(1, 3.0f), Error::Internal);
  EXPECT_EQ(last_event(), nullptr);
}

TEST_F(Execute, AShapeOutsideTheBoundsIsRefused) {
  EXPECT_EQ(loaded_->run(5, 1.0f), Error::InvalidArgument);
  EXPECT_EQ(last_error().subject, "input 'x'");
  EXPECT_NE(last_error().found.find("[5, 2]"), std::string::npos) << last_error().message;
  EXPECT_NE(last_error().expected.find("[1..4, 2]"), std::string::npos) << last_error().message;
  EXPECT_EQ(loaded_->run(4, 1.0f), Error::Ok);
}

TEST_F(Execute, AWrongDtypeRankOrDimOrderIsRefused) {
  auto y = make_tensor_ptr({4, 2}, data_, ScalarType::Float);
  EValue output(*y);
  auto integers = make_tensor_ptr({1, 2}, data_, ScalarType::Int);
  EValue wrong_dtype(*integers);
  EXPECT_EQ(call({&wrong_dtype, &output}), Error::InvalidArgument);
  auto flat = make_tensor_ptr({2}, data_, ScalarType::Float);
  EValue wrong_rank(*flat);
  EXPECT_EQ(call({&wrong_rank, &output}), Error::InvalidArgument);
  auto turned = make_tensor_ptr({2, 2}, data_, {1, 0}, {1, 2}, ScalarType::Float);
  EValue wrong_order(*turned);
  EXPECT_EQ(call({&wrong_order, &output}), Error::InvalidArgument);
  EValue number(int64_t{1});
  EXPECT_EQ(call({&number, &output}), Error::InvalidArgument);
  EXPECT_EQ(device().calls.back(), "make") << "the engine ran on arguments that are refused";
}

TEST_F(Execute, AWrongNumberOfArgumentsIsRefused) {
  auto x = make_tensor_ptr({1, 2}, data_, ScalarType::Float);
  EValue input(*x);
  EXPECT_EQ(call({&input}), Error::InvalidArgument);
  EXPECT_EQ(call({}), Error::InvalidArgument);
}

TEST_F(Execute, AnOutputThatIsTooSmallIsRefused) {
  auto x = make_tensor_ptr({4, 2}, data_, ScalarType::Float);
  auto y = make_tensor_ptr({1, 2}, data_ + 8, ScalarType::Float);
  EValue input(*x), output(*y);
  EXPECT_EQ(call({&input, &output}), Error::InvalidArgument);
  EXPECT_EQ(last_error().subject, "output 'y'");
}

// One changed byte in a program takes an output's planned memory away: the copy into it was a crash.
TEST_F(Execute, ATensorWithoutMemoryIsRefused) {
  auto x = make_tensor_ptr({1, 2}, data_, ScalarType::Float);
  auto nowhere = make_tensor_ptr({1, 2}, static_cast<void*>(nullptr), ScalarType::Float);
  EValue there(*x), missing(*nowhere);
  EXPECT_EQ(call({&there, &missing}), Error::InvalidArgument);
  EXPECT_EQ(last_error().subject, "output 'y'");
  EXPECT_EQ(call({&missing, &there}), Error::InvalidArgument);
  EXPECT_EQ(last_error().subject, "input 'x'");
}

TEST_F(Execute, AfterAFaultTheNextCallWorks) {
  device().fault = true;
  EXPECT_EQ(loaded_->run(1, 1.0f), Error::Internal);
  EXPECT_EQ(loaded_->run(1, 1.0f), Error::Ok);
  EXPECT_EQ(engines()[0].runs, 1u);
}

}  // namespace
}  // namespace torchtrt_ws::testing
