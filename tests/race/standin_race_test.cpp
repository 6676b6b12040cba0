// The same threads over the TensorRT adapter, which finds the stand-ins of TensorRT and CUDA. The adapter is not
// linked: the first loads, at once, look for it.

#include <NvInferVersion.h>
#include <gtest/gtest.h>

#include <cstring>

#include "../delegate/fake_engine.h"
#include "../standin/plan_writer.h"
#include "../standin/standin.h"
#include "blob/header.h"
#include "race.h"
#include "torchtrt_ws/defaults.h"
#include "torchtrt_ws/load_options.h"

namespace torchtrt_ws::testing {
namespace {

/// make_blob()'s, with a plan of the stand-in for its engine.
std::vector<char> make_plan_blob(const std::string& name) {
  PlanText plan;
  plan.io = "input x float32 1,2 2,2 2,2\nprofile x 3,2 4,2 4,2\noutput y float32 affine 0.0 2.0*x\n";
  plan.streamable = kStreamable;
  plan.resident = plan.scratch = plan.context = 4096;
  const std::vector<uint8_t> bytes =
      write_plan(plan, {NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH, NV_TENSORRT_BUILD});
  std::vector<char> blob = torchtrt_ws::testing::make_blob(name, 1, "null", "null", "tensorrt");
  uint32_t offset = 0;
  std::memcpy(&offset, blob.data() + wire::kEngineOffsetField, sizeof(offset));
  const uint64_t size = bytes.size();
  std::memcpy(blob.data() + wire::kEngineSizeField, &size, sizeof(size));
  blob.resize(offset);
  blob.insert(blob.end(), bytes.begin(), bytes.end());
  return blob;
}

TEST(Race, TheTensorRtAdapterServesThreads) {
  reset_device();  // readies ExecuTorch's runtime
  LoadOptions graphs;
  graphs.set_cuda_graph("auto");
  const auto options = graphs.view();
  ASSERT_EQ(set_defaults({options.data(), options.size()}), executorch::runtime::Error::Ok);
  race(make_plan_blob);
  EXPECT_GT(standin_calls("cudaGraphLaunch"), 100) << "replays are part of it";
  EXPECT_EQ(standin_live("device_total"), 0);
  EXPECT_EQ(standin_live("engine"), 0);
  EXPECT_EQ(standin_live("execution_context"), 0);
  for (int64_t i = 0; i < standin_misuses(); ++i) ADD_FAILURE() << standin_misuse(i);
}

}  // namespace
}  // namespace torchtrt_ws::testing
