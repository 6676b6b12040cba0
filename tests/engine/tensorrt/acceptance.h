#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <utility>
#include <vector>

#include "support.h"

// The acceptance tests hold for every TensorRT: they ask for one plan, `y = 2 * x + 1` element by element, with x and y
// float32 of [1 to 8 rows, kWidth] and weights that can stream.
//
//   TORCHTRT_WS_TEST_PLAN      file of such a plan; without it a plan of the stand-in is written
//   TORCHTRT_WS_TEST_PROFILES  file of the same with two optimization profiles, 1 to 2 and 4 to 8 rows; without it and
//                              with a file for the other, tests of profiles are skipped
//   TORCHTRT_WS_TEST_NONZERO   file of a plan with `y = nonzero(x)`, y int64 of [2, n], likewise
//   TORCHTRT_WS_TEST_SHAPES    file of a plan where y is the one row of x as often as k says, int64 [rows, kWidth] from
//   1
//                              to 8 rows, likewise
//   TORCHTRT_WS_TEST_STATE     file of a plan with `y = 2 * (x + sum) + 1` and `sum_after = x + sum`, all float32 of
//                              [4, kWidth], likewise
//   TORCHTRT_WS_TEST_WIDTH     their kWidth (4)
//   TORCHTRT_WS_TEST_PRODUCT   "rtx": the stand-in's plans are ones of TensorRT-RTX
namespace torchtrt_ws::testing {

inline constexpr SizesType kMostRows = 8;

SizesType width();
const std::vector<uint8_t>& acceptance_plan();
const std::vector<uint8_t>& profiles_plan();  // empty: there is none; so the three below
const std::vector<uint8_t>& nonzero_plan();
const std::vector<uint8_t>& shapes_plan();
const std::vector<uint8_t>& state_plan();
bool is_rtx();

/// The version that plans of the stand-in must carry.
std::array<uint8_t, 4> standin_version(bool rtx);

/// x and y of `plan = y = 2 * x + 1`.
Metadata acceptance_metadata();

/// x of `rows`, filled with small integers that differ from row to row and from `seed` to `seed`.
Tensor make_x(SizesType rows, int seed = 0, Where where = Where::Device, size_t misalign = 0);
Tensor make_y(SizesType rows, Where where = Where::Device, size_t misalign = 0);
void fill_x(Tensor& x, int seed);

/// Whether y is 2 * x + 1, for an x of make_x() with this seed.
::testing::AssertionResult is_answer(const Tensor& y, SizesType rows, int seed = 0);

/// One run and a look at its result.
::testing::AssertionResult runs(Engine& engine, SizesType rows, int seed = 0, Where in = Where::Device,
                                Where out = Where::Device, size_t misalign = 0);

class Stream {
 public:
  explicit Stream(unsigned int flags = cudaStreamNonBlocking) {
    const TestsOwn own;
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, flags), cudaSuccess);
  }
  ~Stream() {
    const TestsOwn own;
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
  }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Acceptance : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(cudaSetDevice(0), cudaSuccess); }
  void TearDown() override {
    EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "an error is left behind for the program's own checks";
    EXPECT_EQ(current_device(), 0) << "the current device was not restored";
    expect_no_misuse();
  }

  static Result<std::unique_ptr<Engine>> open(const OpenOptions& options = {}, bool* released = nullptr) {
    return open_plan(acceptance_plan(), acceptance_metadata(), options, released);
  }

  /// An engine that is ready to run, with `budget` bytes of weights on the device (default: all).
  static std::unique_ptr<Engine> ready(const OpenOptions& options = {}, int64_t budget = INT64_MAX,
                                       const std::vector<uint8_t>& plan = acceptance_plan());
};

}  // namespace torchtrt_ws::testing
