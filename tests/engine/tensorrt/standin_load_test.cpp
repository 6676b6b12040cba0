// Loading, where only the stand-ins can set the scene: drivers, versions, readers.
#include <cstdlib>

#include "standin_support.h"

namespace torchtrt_ws::testing {
namespace {

class StandinLoad : public Adapter {};

TEST_F(StandinLoad, ReadsInPiecesAndIntoDeviceMemory) {
  PlanText text;
  text.weights = 20 << 20;
  const auto plan = plan_bytes(text);
  for (const int64_t chunk : {0, 1000003, 4096}) {
    for (const int64_t to_device : {0, 1}) {
      standin_set("read_chunk", chunk);
      standin_set("read_to_device", to_device);
      EXPECT_TRUE(is_ok(open_plan(plan, acceptance_metadata()))) << chunk << " " << to_device;
    }
  }
}

TEST_F(StandinLoad, ADamagedPlanIsRefused) {
  auto plan = plan_bytes();
  plan[plan.size() - 20] ^= 4;
  failed_with(open_plan(plan, acceptance_metadata()), ErrorCode::BadEngine);
}

TEST_F(StandinLoad, OneRuntimeForEachDeviceThatGoesWithItsLastEngine) {
  OpenOptions second_device;
  second_device.device_id = 1;
  {
    auto first = open(), second = open(), other = open({}, second_device);
    ASSERT_TRUE(first.ok() && second.ok() && other.ok());
    EXPECT_EQ(standin_live("runtime"), 2);
    EXPECT_EQ(standin_calls("createInferRuntime"), 2);
    EXPECT_EQ(current_device(), 0);
  }
  EXPECT_EQ(standin_live("runtime"), 0);
  EXPECT_TRUE(open().ok());
}

TEST_F(StandinLoad, APlanOfAnotherVersionIsIncompatible) {
  PlanText text;
  text.version = {9, 3, 0, 26};
  const std::string message = failed_with(open(text), ErrorCode::Incompatible);
  EXPECT_NE(message.find("expecting library version"), std::string::npos)
      << "TensorRT's own words are kept: " << message;
}

TEST_F(StandinLoad, APlanForAnotherGpuIsIncompatible) {
  PlanText text;
  text.compute = 75;
  const std::string message = failed_with(open(text), ErrorCode::Incompatible);
  EXPECT_NE(message.find("expecting compute 9.0 got compute 7.5"), std::string::npos) << message;
  text.compute = 0;
  EXPECT_TRUE(is_ok(open(text))) << "hardware compatible";
}

TEST_F(StandinLoad, NoDriverAndNoGpu) {
  standin_set("driver_error", cudaErrorInsufficientDriver);
  std::string message = failed_with(open(), ErrorCode::NotSupported);
  EXPECT_NE(message.find("driver"), std::string::npos) << message;
  standin_set("driver_error", cudaErrorNoDevice);
  message = failed_with(open(), ErrorCode::NotSupported);
  EXPECT_NE(message.find("no CUDA-capable device"), std::string::npos) << message;
  standin_set("driver_error", 0);
  standin_set("devices", 0);
  failed_with(open(), ErrorCode::NotSupported);
  standin_set("devices", 1);
  EXPECT_TRUE(is_ok(open())) << "a later load works";
}

TEST_F(StandinLoad, ADriverThatFailsIsAFaultAndNoMissingOne) {
  standin_fail("cudaGetDeviceCount", 1, 1, cudaErrorMemoryAllocation);
  failed_with(open(), ErrorCode::DoesNotFit);
  standin_fail("cudaGetDeviceCount", 1, 1, cudaErrorUnknown);
  failed_with(open(), ErrorCode::EngineFault);
  standin_fail("cudaGetDeviceCount", 1, 1, cudaErrorInsufficientDriver);
  failed_with(open(), ErrorCode::NotSupported);
  EXPECT_TRUE(is_ok(open())) << "a later load works";
}

TEST_F(StandinLoad, ARuntimeThatIsNotMadeSaysWhy) {
  const std::pair<cudaError_t, ErrorCode> reasons[] = {{cudaSuccess, ErrorCode::NotSupported},
                                                       {cudaErrorInsufficientDriver, ErrorCode::NotSupported},
                                                       {cudaErrorMemoryAllocation, ErrorCode::DoesNotFit},
                                                       {cudaErrorIllegalAddress, ErrorCode::EngineFault}};
  for (const auto& [error, code] : reasons) {
    standin_fail("createInferRuntime", 1, 1, error);
    const std::string message = failed_with(open(), code);
    EXPECT_NE(message.find(error == cudaSuccess ? "Internal Error" : cudaGetErrorString(error)), std::string::npos)
        << message;
  }
  EXPECT_TRUE(is_ok(open())) << "a later load works";
}

TEST_F(StandinLoad, NotEnoughMemoryForWhatCannotStream) {
  PlanText text;
  text.resident = 100 * kMiB;
  standin_leave_free(0, 50 * kMiB);
  failed_with(open(text), ErrorCode::DoesNotFit);
  standin_leave_free(0, -1);
  EXPECT_TRUE(is_ok(open(text)));
}

TEST_F(StandinLoad, PayloadIsGoneBeforeAnythingIsAllocatedForStreaming) {
  int64_t contexts = -1, weights = -1;
  auto plan = std::make_shared<std::vector<uint8_t>>(plan_bytes());
  Payload payload(plan->data(), plan->size(), [&] {
    contexts = standin_live("execution_context");
    weights = standin_live_bytes("weights");
  });
  const Metadata metadata = acceptance_metadata();
  auto engine = tensorrt_kind()(std::move(payload), {metadata, "forward", {}, GraphUse::Off});
  ASSERT_TRUE(is_ok(engine));
  EXPECT_EQ(contexts, 0);
  EXPECT_EQ(weights, 1 * kMiB);
  EXPECT_EQ(standin_live("execution_context"), 0) << "open() makes no context: the budget comes first";
}

TEST_F(StandinLoad, TensorsThatAProgramCannotPassAreRefused) {
  const std::vector<std::pair<std::string, std::vector<Binding>>> plans = {
      {"input x float32 4 4 4 host\noutput y float32 affine 0 x\n",
       {{"x", "float32", {4}, true}, {"y", "float32", {4}, false}}},
      {"input x float32 4 4 4 vectorized\noutput y float32 affine 0 x\n",
       {{"x", "float32", {4}, true}, {"y", "float32", {4}, false}}},
      {"input x int4 4 4 4\noutput y float32 affine 0 x\n", {{"x", "int4", {4}, true}, {"y", "float32", {4}, false}}},
      {"input x int64 4 4 4 host\noutput y float32 affine 0 x\n",  // without values
       {{"x", "int64", {4}, true}, {"y", "float32", {4}, false}}},
  };
  for (const auto& [io, bindings] : plans) {
    PlanText text;
    text.io = io;
    auto engine = open_plan(plan_bytes(text), metadata_of(bindings));
    if (engine.ok()) {  // what depends on data is told by the context
      failed_with(engine.value()->make_context(), ErrorCode::Incompatible);
    } else {
      failed_with(engine, ErrorCode::Incompatible);
    }
  }
}

// In a process of its own: a library that was loaded stays.
TEST(StandinLibraryDeathTest, ALibraryThatDoesNotLoadIsNamedWithWhatToInstall) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        setenv("TORCHTRT_WS_NVINFER", "/nowhere/libnvinfer.so", 1);
        setenv("TORCHTRT_WS_TENSORRT_RTX", "/nowhere/libtensorrt_rtx.so", 1);
        auto engine = open_plan(plan_bytes(), acceptance_metadata());
        const bool right = !engine.ok() && engine.failure().code == ErrorCode::NotSupported &&
                           engine.failure().message().find("/nowhere/") != std::string::npos &&
                           engine.failure().message().find("Install TensorRT") != std::string::npos;
        std::exit(right ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(StandinLibraryDeathTest, TheLibraryOfTheOtherProductIsNotTaken) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const std::string nvinfer = std::getenv("TORCHTRT_WS_NVINFER");
        const std::string rtx = std::getenv("TORCHTRT_WS_TENSORRT_RTX");
        setenv("TORCHTRT_WS_NVINFER", rtx.c_str(), 1);
        setenv("TORCHTRT_WS_TENSORRT_RTX", nvinfer.c_str(), 1);
        auto engine = open_plan(plan_bytes(), acceptance_metadata());
        std::exit(!engine.ok() && engine.failure().code == ErrorCode::NotSupported ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace torchtrt_ws::testing
