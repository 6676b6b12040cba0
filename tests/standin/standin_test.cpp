// The TensorRT stand-in by itself, through TensorRT's own API.
#include <NvInferRuntime.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "cuda_fixture.h"
#include "plan_writer.h"

namespace {

#ifdef STANDIN_RTX_VERSION
constexpr bool kRtx = true;
constexpr std::array<uint8_t, 4> kVersion = {STANDIN_RTX_VERSION};
#else
constexpr bool kRtx = false;
constexpr std::array<uint8_t, 4> kVersion = {NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH,
                                             NV_TENSORRT_BUILD};
#endif
constexpr int64_t kMiB = 1 << 20;

class Logger : public nvinfer1::ILogger {
 public:
  void log(Severity, const char* message) noexcept override { words += std::string(message) + "\n"; }
  std::string words;
};

class Reader : public nvinfer1::IStreamReaderV2 {
 public:
  explicit Reader(const std::vector<uint8_t>& plan) : plan_(plan) {}
  int64_t read(void* target, int64_t size, cudaStream_t stream) noexcept override {
    auto taken = std::min<size_t>(static_cast<size_t>(size), plan_.size() - at_);
    if (cudaMemcpyAsync(target, plan_.data() + at_, taken, cudaMemcpyDefault, stream) != cudaSuccess) return -1;
    if (cudaStreamSynchronize(stream) != cudaSuccess) return -1;
    at_ += taken;
    ++reads;
    return static_cast<int64_t>(taken);
  }
  bool seek(int64_t, nvinfer1::SeekPosition) noexcept override { return false; }
  int reads = 0;

 private:
  const std::vector<uint8_t>& plan_;
  size_t at_ = 0;
};

using Runtime = std::unique_ptr<nvinfer1::IRuntime>;
using Engine = std::unique_ptr<nvinfer1::ICudaEngine>;
using Context = std::unique_ptr<nvinfer1::IExecutionContext>;

std::vector<uint8_t> plan_of(PlanText text = {}) {
  text.rtx = kRtx;
  return write_plan(text, kVersion);
}

class TensorRt : public StandinTest {
 protected:
  Engine deserialize(const std::vector<uint8_t>& plan) {
    if (runtime == nullptr) runtime.reset(nvinfer1::createInferRuntime(logger));
    return Engine(runtime->deserializeCudaEngine(plan.data(), plan.size()));
  }
  bool logged(const char* words) const { return logger.words.find(words) != std::string::npos; }
  int64_t engine_bytes() const { return standin_live_bytes("device_total") - standin_live_bytes("device"); }

  void TearDown() override {
    runtime.reset();
    StandinTest::TearDown();
  }

  Logger logger;
  Runtime runtime;
};

TEST_F(TensorRt, PlansAreReadInAllWays) {
  PlanText text;
  text.weights = 100000;
  auto plan = plan_of(text);
  EXPECT_NE(deserialize(plan), nullptr);
  standin_set("read_chunk", 4096);
  Reader reader(plan);
  EXPECT_NE(Engine(runtime->deserializeCudaEngine(reader)), nullptr);
  EXPECT_GT(reader.reads, 20);
  standin_set("read_to_device", 1);
  Reader to_device(plan);
  EXPECT_NE(Engine(runtime->deserializeCudaEngine(to_device)), nullptr);
  EXPECT_GT(standin_bytes("h2d"), 100000);
}

TEST_F(TensorRt, BadPlansAreRefused) {
  auto plan = plan_of();
  EXPECT_EQ(deserialize(std::vector<uint8_t>(4096, 0x5A)), nullptr);
  EXPECT_TRUE(logged("kEXPECTED_MAGIC_TAG"));
  EXPECT_EQ(deserialize({}), nullptr);
  EXPECT_EQ(deserialize(std::vector<uint8_t>(plan.begin(), plan.begin() + 100)), nullptr);
  EXPECT_TRUE(logged("plan ends early"));
  plan[60] ^= 1;
  EXPECT_EQ(deserialize(plan), nullptr);
  PlanText other;
  other.version = {9, 9, 9, 9};
  EXPECT_EQ(deserialize(plan_of(other)), nullptr);
  EXPECT_TRUE(logged("not compatible with this version of TensorRT, expecting library version"));
  other = {};
  other.compute = 75;
  EXPECT_EQ(deserialize(plan_of(other)), nullptr);
  EXPECT_TRUE(logged("expecting compute 9.0 got compute 7.5"));
  other = {};
  other.rtx = !kRtx;
  EXPECT_EQ(deserialize(write_plan(other, kVersion)), nullptr);
}

TEST_F(TensorRt, NoDriverNoRuntime) {
  standin_set("driver_error", cudaErrorInsufficientDriver);
  EXPECT_EQ(nvinfer1::createInferRuntime(logger), nullptr);
  EXPECT_TRUE(logged("CUDA initialization failure with error: 35"));
}

TEST_F(TensorRt, TensorsAreDescribed) {
  PlanText text;
  text.io =
      "input x float16 1,4 8,4 16,4\ninput z bool 3 3 3\n"
      "output y bfloat16 affine 0 1*x\noutput s float32 sum 0 1*x\n";
  auto engine = deserialize(plan_of(text));
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(engine->getNbIOTensors(), 4);
  EXPECT_STREQ(engine->getIOTensorName(2), "y");
  EXPECT_EQ(engine->getTensorIOMode("z"), nvinfer1::TensorIOMode::kINPUT);
  EXPECT_EQ(engine->getTensorDataType("y"), nvinfer1::DataType::kBF16);
  EXPECT_EQ(engine->getTensorShape("x").d[0], -1);
  EXPECT_EQ(engine->getTensorShape("y").d[1], 4);
  EXPECT_EQ(engine->getTensorShape("s").nbDims, 0);
  EXPECT_EQ(engine->getTensorShape("none").nbDims, -1);
  EXPECT_EQ(engine->getProfileShape("x", 0, nvinfer1::OptProfileSelector::kMAX).d[0], 16);
  EXPECT_EQ(engine->getProfileShape("y", 0, nvinfer1::OptProfileSelector::kMAX).nbDims, -1);
}

TEST_F(TensorRt, BudgetsFollowTheRules) {
  auto engine = deserialize(plan_of());
  EXPECT_EQ(engine->getStreamableWeightsSize(), 64 * kMiB);
  EXPECT_EQ(engine->getWeightStreamingBudgetV2(), 64 * kMiB);
  EXPECT_EQ(engine->getWeightStreamingScratchMemorySize(), 0);
  EXPECT_EQ(engine_bytes(), 1 * kMiB);
  ASSERT_TRUE(engine->setWeightStreamingBudgetV2(INT64_MAX));
  EXPECT_EQ(engine->getWeightStreamingBudgetV2(), 64 * kMiB);
  EXPECT_EQ(engine_bytes(), 65 * kMiB) << "at full residency the call itself allocates";
  Context context(engine->createExecutionContext());
  EXPECT_EQ(engine_bytes(), 69 * kMiB);
  EXPECT_FALSE(engine->setWeightStreamingBudgetV2(0));
  EXPECT_TRUE(logged("cannot be modified while there are active IExecutionContexts"));
  context.reset();
  EXPECT_EQ(engine_bytes(), 65 * kMiB);
  ASSERT_TRUE(engine->setWeightStreamingBudgetV2(16 * kMiB));
  EXPECT_EQ(engine_bytes(), 65 * kMiB) << "freed in the order of a stream";
  ASSERT_EQ(cudaStreamSynchronize(nullptr), cudaSuccess);
  EXPECT_EQ(engine_bytes(), 1 * kMiB) << "below it the context does";
  EXPECT_EQ(engine->getWeightStreamingScratchMemorySize(), 8 * kMiB);
  EXPECT_EQ(engine->getDeviceMemorySizeV2(), 12 * kMiB);
  context.reset(engine->createExecutionContext());
  EXPECT_EQ(engine_bytes(), (1 + 16 + 8 + 4) * kMiB);
  context.reset();
  EXPECT_EQ(engine_bytes(), 1 * kMiB);
  EXPECT_FALSE(engine->setWeightStreamingBudgetV2(-1));
  EXPECT_EQ(engine->getWeightStreamingBudgetV2(), 16 * kMiB);
}

TEST_F(TensorRt, TheAutomaticBudgetFollowsFreeMemory) {
  auto engine = deserialize(plan_of());
  EXPECT_EQ(engine->getWeightStreamingAutomaticBudget(), 64 * kMiB);
  standin_leave_free(0, 40 * kMiB);
  EXPECT_EQ(engine->getWeightStreamingAutomaticBudget(), 28 * kMiB);
  standin_leave_free(0, 6 * kMiB);
  EXPECT_EQ(engine->getWeightStreamingAutomaticBudget(), 0);
  standin_set("automatic_budget", 63 * kMiB);
  EXPECT_EQ(engine->getWeightStreamingAutomaticBudget(), 63 * kMiB);
}

TEST_F(TensorRt, MemoryRunsOutInSetAndInContext) {
  auto engine = deserialize(plan_of());
  standin_leave_free(0, 20 * kMiB);
  EXPECT_FALSE(engine->setWeightStreamingBudgetV2(64 * kMiB));
  EXPECT_TRUE(logged("could not be allocated"));
  ASSERT_TRUE(engine->setWeightStreamingBudgetV2(16 * kMiB)) << "below full residency the call allocates nothing";
  EXPECT_EQ(Context(engine->createExecutionContext()), nullptr);
  EXPECT_TRUE(logged("OutOfMemory"));
  EXPECT_EQ(engine_bytes(), 1 * kMiB);
  ASSERT_TRUE(engine->setWeightStreamingBudgetV2(8 * kMiB));
  EXPECT_NE(Context(engine->createExecutionContext()), nullptr);
}

TEST_F(TensorRt, EnginesWithoutStreamingHaveNoBudget) {
  PlanText text;
  text.streaming = false;
  auto engine = deserialize(plan_of(text));
  EXPECT_EQ(engine->getStreamableWeightsSize(), 0);
  EXPECT_FALSE(engine->setWeightStreamingBudgetV2(0));
}

/// A run with device memory of its own.
class Run : public TensorRt {
 protected:
  void SetUp() override {
    TensorRt::SetUp();
    ASSERT_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    ASSERT_CUDA(cudaMalloc(&x, 1024));
    ASSERT_CUDA(cudaMalloc(&y, 1024));
  }
  void TearDown() override {
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    context.reset();
    engine.reset();
    runtime.reset();
    EXPECT_CUDA(cudaStreamDestroy(stream));
    EXPECT_CUDA(cudaFree(x));
    EXPECT_CUDA(cudaFree(y));
    TensorRt::TearDown();
  }
  void make(const PlanText& text = {}) {
    engine = deserialize(plan_of(text));
    ASSERT_NE(engine, nullptr);
    context.reset(engine->createExecutionContext());
    ASSERT_NE(context, nullptr);
    ASSERT_TRUE(context->setTensorAddress("x", x));
    ASSERT_TRUE(context->setTensorAddress("y", y));
  }
  bool shape(int64_t rows) { return context->setInputShape("x", nvinfer1::Dims2(rows, 4)); }
  template <typename T>
  void put(const std::vector<T>& values) {
    ASSERT_CUDA(cudaMemcpyAsync(x, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice, stream));
  }
  template <typename T>
  std::vector<T> get(size_t count) {
    std::vector<T> values(count);
    EXPECT_CUDA(cudaMemcpyAsync(values.data(), y, count * sizeof(T), cudaMemcpyDeviceToHost, stream));
    return values;
  }

  Engine engine;
  Context context;
  cudaStream_t stream = nullptr;
  void *x = nullptr, *y = nullptr;
};

TEST_F(Run, ComputesOnTheStream) {
  make();
  EXPECT_EQ(context->inferShapes(0, nullptr), 1);
  EXPECT_FALSE(shape(9));
  EXPECT_TRUE(logged("does not satisfy any optimization profiles"));
  ASSERT_TRUE(shape(2));
  EXPECT_EQ(context->inferShapes(0, nullptr), 0);
  EXPECT_EQ(context->getTensorShape("y").d[0], 2);
  put<float>({0, 1, 2, 3, 4, 5, 6, 7});
  ASSERT_TRUE(context->enqueueV3(stream));
  EXPECT_EQ(get<float>(8), (std::vector<float>{1, 3, 5, 7, 9, 11, 13, 15}));
}

PlanText two_profiles() {
  PlanText text;
  text.io = "input x float32 1,4 2,4 2,4\nprofile x 4,4 8,4 8,4\noutput y float32 affine 1.0 2.0*x\n";
  text.extra = "context 1048576 4194304\n";
  return text;
}

TEST_F(Run, AShapeMustBeInTheProfileInForce) {
  make(two_profiles());
  EXPECT_EQ(engine->getNbOptimizationProfiles(), 2);
  EXPECT_EQ(engine->getProfileShape("x", 1, nvinfer1::OptProfileSelector::kMIN).d[0], 4);
  EXPECT_EQ(engine->getProfileShape("x", 2, nvinfer1::OptProfileSelector::kMIN).nbDims, -1);
  EXPECT_EQ(engine->getDeviceMemorySizeV2(), 4 * kMiB) << "of the largest";
  EXPECT_TRUE(shape(2));
  EXPECT_FALSE(shape(4));
  EXPECT_TRUE(logged("Valid range for profile 0: [1,4]..[2,4]"));
  ASSERT_TRUE(context->setOptimizationProfileAsync(1, stream));
  EXPECT_EQ(context->getOptimizationProfile(), 1);
  EXPECT_FALSE(shape(2));
  EXPECT_TRUE(shape(4));
  for (const int32_t index : {-1, 2}) EXPECT_FALSE(context->setOptimizationProfileAsync(index, stream));
  EXPECT_TRUE(logged("profileIndex < 2"));
  EXPECT_EQ(context->getOptimizationProfile(), 1);
  standin_fail("setOptimizationProfileAsync", 1, 1, 0);
  EXPECT_FALSE(context->setOptimizationProfileAsync(0, stream));
}

TEST_F(Run, ASwitchForgetsShapesAndAddresses) {
  make(two_profiles());
  ASSERT_TRUE(shape(2));
  ASSERT_TRUE(context->setOptimizationProfileAsync(1, stream));
  EXPECT_EQ(context->inferShapes(0, nullptr), 1);
  EXPECT_FALSE(context->enqueueV3(stream));
  EXPECT_TRUE(logged("Not all shapes are specified for input x"));
  ASSERT_TRUE(shape(4));
  EXPECT_FALSE(context->enqueueV3(stream));
  EXPECT_TRUE(logged("Address is not set for input tensor x"));
  ASSERT_TRUE(context->setTensorAddress("x", x));
  ASSERT_TRUE(context->setTensorAddress("y", y));
  EXPECT_TRUE(context->enqueueV3(stream));
}

TEST_F(Run, ASwitchIsOrderedWithRuns) {
  make(two_profiles());
  cudaStream_t other = nullptr;
  ASSERT_CUDA(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
  auto run = [&](int32_t profile, cudaStream_t on) {
    EXPECT_TRUE(context->setOptimizationProfileAsync(profile, stream));
    EXPECT_TRUE(shape(profile == 0 ? 2 : 4));
    EXPECT_TRUE(context->setTensorAddress("x", x) && context->setTensorAddress("y", y));
    EXPECT_TRUE(context->enqueueV3(on));
  };
  run(1, stream);
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(misuses(), std::vector<std::string>{});
  run(0, other);
  EXPECT_CUDA(cudaStreamSynchronize(other));
  expect_misuse("one execution context on two streams");
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  ASSERT_TRUE(shape(1) && context->enqueueV3(other));
  ASSERT_TRUE(context->setOptimizationProfileAsync(1, stream));
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_CUDA(cudaStreamSynchronize(other));
  expect_misuse("a switch of the profile and a run on two streams");
  EXPECT_CUDA(cudaStreamDestroy(other));
}

TEST_F(Run, ComputesOtherTypes) {
  PlanText text;
  text.io = "input x bfloat16 3 3 3\noutput y float16 affine 0.5 1*x\n";
  make(text);
  put<uint16_t>({0x3F80, 0xC000, 0x0000});  // 1, -2, 0
  ASSERT_TRUE(context->enqueueV3(stream));
  EXPECT_EQ(get<uint16_t>(3), (std::vector<uint16_t>{0x3E00, 0xBE00, 0x3800}));  // 1.5, -1.5, 0.5
}

TEST_F(Run, SumsToAScalar) {
  PlanText text;
  text.io = "input x int64 3 3 3\noutput y int32 sum 1 2*x\n";
  make(text);
  put<int64_t>({1, 2, 3});
  ASSERT_TRUE(context->enqueueV3(stream));
  EXPECT_EQ(get<int32_t>(1), std::vector<int32_t>{13});
}

TEST_F(Run, StreamedBytesAreCounted) {
  make();
  context.reset();
  ASSERT_TRUE(engine->setWeightStreamingBudgetV2(24 * kMiB));
  context.reset(engine->createExecutionContext());
  ASSERT_TRUE(context->setTensorAddress("x", x) && context->setTensorAddress("y", y) && shape(1));
  ASSERT_TRUE(context->enqueueV3(stream));
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(standin_bytes("streamed"), 40 * kMiB);
}

TEST_F(Run, RefusesWhatTensorRtRefuses) {
  make();
  EXPECT_FALSE(context->enqueueV3(stream));
  EXPECT_TRUE(logged("Not all shapes are specified"));
  ASSERT_TRUE(shape(1));
  ASSERT_TRUE(context->setTensorAddress("x", static_cast<char*>(x) + 16));
  EXPECT_FALSE(context->enqueueV3(stream));
  EXPECT_TRUE(logged("not aligned to 256 bytes"));
  ASSERT_TRUE(context->setTensorAddress("x", nullptr));
  EXPECT_FALSE(context->enqueueV3(stream));
  EXPECT_TRUE(logged("Address is not set for input tensor x"));
  EXPECT_FALSE(context->setTensorAddress("nothing", x));
}

TEST_F(Run, MisuseIsDetected) {
  make();
  ASSERT_TRUE(shape(8));
  alignas(256) static float pageable[32];
  ASSERT_TRUE(context->setTensorAddress("x", pageable) && context->enqueueV3(stream));
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
  expect_misuse("pageable host memory");
  standin_set("pageable_access", 1);
  ASSERT_TRUE(context->enqueueV3(stream));
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  ASSERT_CUDA(cudaSetDevice(1));
  void* other = nullptr;
  ASSERT_CUDA(cudaMalloc(&other, 128));
  ASSERT_CUDA(cudaSetDevice(0));
  ASSERT_TRUE(context->setTensorAddress("x", other) && context->enqueueV3(stream));
  EXPECT_NE(cudaStreamSynchronize(stream), cudaSuccess);
  expect_misuse("memory of device 1");
  EXPECT_CUDA(cudaFree(other));
  ASSERT_TRUE(context->setTensorAddress("x", x));
  ASSERT_CUDA(cudaSetDevice(1));
  EXPECT_TRUE(context->enqueueV3(stream));
  expect_misuse("called with device 1 current");
  ASSERT_CUDA(cudaSetDevice(0));
  context.reset();
  expect_misuse("destroyed while its work is in flight");
  EXPECT_NE(cudaStreamSynchronize(stream), cudaSuccess);
  expect_misuse("an execution context that was destroyed");
}

TEST_F(Run, ValuesThatChangeInFlightAreDetected) {
  PlanText text;
  text.io =
      "input x float32 1,4 1,4 1,4\ninput k int32 2 2 2 host\nvalues k 1,4 4,4 8,4\noutput y float32 affine 1 2*x "
      "shape k\n";
  make(text);
  alignas(256) int32_t values[] = {2, 4};
  put<float>({1, 2, 3, 4});
  ASSERT_TRUE(context->setTensorAddress("k", values) && context->enqueueV3(stream));
  EXPECT_EQ(get<float>(8), (std::vector<float>{3, 5, 7, 9, 3, 5, 7, 9}));
  values[0] = 1;
  ASSERT_TRUE(context->setTensorAddress("k", values) && context->enqueueV3(stream));
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(misuses(), std::vector<std::string>{}) << "nothing was in flight";
  ASSERT_TRUE(context->enqueueV3(stream));
  values[0] = 2;
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  expect_misuse("the values of k were changed");
}

TEST_F(Run, UnorderedStreamsAreDetected) {
  make();
  ASSERT_TRUE(shape(1));
  cudaStream_t second = nullptr;
  ASSERT_CUDA(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
  ASSERT_TRUE(context->enqueueV3(stream) && context->enqueueV3(second));
  EXPECT_CUDA(cudaStreamSynchronize(second));
  expect_misuse("one execution context on two streams");
  EXPECT_CUDA(cudaStreamDestroy(second));
}

TEST_F(Run, GraphsAreGoodForTheirShapesAndAddresses) {
  make();
  ASSERT_TRUE(shape(1));
  cudaGraph_t graph = nullptr;
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  EXPECT_FALSE(context->enqueueV3(stream)) << "the first run after a change of shape";
  EXPECT_NE(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  ASSERT_TRUE(context->enqueueV3(stream));
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  ASSERT_TRUE(context->enqueueV3(stream));
  ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t exec = nullptr;
  ASSERT_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  put<float>({1, 2, 3, 4});
  ASSERT_CUDA(cudaGraphLaunch(exec, stream));
  EXPECT_EQ(get<float>(4), (std::vector<float>{3, 5, 7, 9}));
  ASSERT_TRUE(shape(2));
  ASSERT_CUDA(cudaGraphLaunch(exec, stream));
  EXPECT_NE(cudaStreamSynchronize(stream), cudaSuccess);
  expect_misuse("whose shapes have changed since");
  EXPECT_CUDA(cudaGraphExecDestroy(exec));
  EXPECT_CUDA(cudaGraphDestroy(graph));
}

TEST_F(Run, FaultsReachTensorRt) {
  standin_fail("createInferRuntime", 1, 1, 0);
  EXPECT_EQ(nvinfer1::createInferRuntime(logger), nullptr);
  make();
  ASSERT_TRUE(shape(1));
  standin_fail("enqueueV3", 1, 1, 0);
  EXPECT_FALSE(context->enqueueV3(stream));
  EXPECT_TRUE(context->enqueueV3(stream));
}

TEST_F(Run, ObjectsMustGoInOrder) {
  make();
  engine.reset();
  expect_misuse("~ICudaEngine: destroyed before its execution contexts");
  context.reset();
  expect_misuse("its engine was destroyed before it");
}

#if NV_TENSORRT_MAJOR >= 11
TEST_F(Run, AliasedOutputsShareMemory) {
  PlanText text;
  text.io = "input x float32 4 4 4\noutput y float32 affine 1 1*x alias x\n";
  make(text);
  EXPECT_STREQ(engine->getAliasedInputTensor("y"), "x");
  EXPECT_FALSE(context->enqueueV3(stream));
  EXPECT_TRUE(logged("must share memory"));
  ASSERT_TRUE(context->setTensorAddress("x", y));
  EXPECT_TRUE(context->enqueueV3(stream));
}
#endif

TEST(PlanPy, ItsPlansAreRead) {
  const char* file = std::getenv("STANDIN_PLAN_FILE");  // written by plan.py; CMakeLists.txt sees to both
  if (file == nullptr) GTEST_SKIP() << "STANDIN_PLAN_FILE names no plan";
  std::vector<uint8_t> plan;
  FILE* in = std::fopen(file, "rb");
  ASSERT_NE(in, nullptr);
  for (int byte; (byte = std::fgetc(in)) != EOF;) plan.push_back(static_cast<uint8_t>(byte));
  std::fclose(in);
  Logger logger;
  Runtime runtime(nvinfer1::createInferRuntime(logger));
  EXPECT_NE(Engine(runtime->deserializeCudaEngine(plan.data(), plan.size())), nullptr) << logger.words;
}

}  // namespace
