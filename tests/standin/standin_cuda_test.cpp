// The CUDA runtime stand-in by itself.
#include <cstdint>
#include <numeric>
#include <thread>

#include "cuda_fixture.h"

namespace {

class Cuda : public StandinTest {};

void* device_memory(size_t size) {
  void* pointer = nullptr;
  EXPECT_CUDA(cudaMalloc(&pointer, size));
  return pointer;
}

cudaStream_t make_stream() {
  cudaStream_t stream = nullptr;
  EXPECT_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}

TEST_F(Cuda, DevicesAreCountedAndMissingDriversReported) {
  int count = 0;
  ASSERT_CUDA(cudaGetDeviceCount(&count));
  EXPECT_EQ(count, 2);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  standin_set("devices", 0);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  standin_set("driver_error", cudaErrorInsufficientDriver);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
  EXPECT_EQ(standin_set("no such setting", 1), -1);
}

TEST_F(Cuda, MemoryIsLimitedAndCounted) {
  standin_set("device_bytes", 1 << 20);
  size_t free = 0, total = 0;
  void* first = device_memory(600 << 10);
  ASSERT_CUDA(cudaMemGetInfo(&free, &total));
  EXPECT_EQ(free, size_t{424} << 10);
  EXPECT_EQ(total, size_t{1} << 20);
  void* second = nullptr;
  EXPECT_EQ(cudaMalloc(&second, 600 << 10), cudaErrorMemoryAllocation);
  EXPECT_EQ(second, nullptr);
  EXPECT_EQ(standin_live_bytes("device"), 600 << 10);
  standin_leave_free(0, 1000);
  EXPECT_EQ(standin_free_bytes(0), 1000);
  EXPECT_EQ(standin_free_bytes(1), 1 << 20);
  EXPECT_CUDA(cudaFree(first));
  EXPECT_EQ(standin_live_bytes("device"), 0);
  EXPECT_EQ(standin_peak_bytes("device"), 600 << 10);
}

TEST_F(Cuda, PointersAreToldApart) {
  ASSERT_CUDA(cudaSetDevice(1));
  void* device = device_memory(100);
  void* pinned = nullptr;
  ASSERT_CUDA(cudaMallocHost(&pinned, 100));
  int local = 0;
  cudaPointerAttributes attributes;
  ASSERT_CUDA(cudaPointerGetAttributes(&attributes, static_cast<char*>(device) + 99));
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  EXPECT_EQ(attributes.device, 1);
  ASSERT_CUDA(cudaPointerGetAttributes(&attributes, pinned));
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  ASSERT_CUDA(cudaPointerGetAttributes(&attributes, &local));
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  EXPECT_CUDA(cudaFreeHost(pinned));
  EXPECT_CUDA(cudaFree(device));
  ASSERT_CUDA(cudaPointerGetAttributes(&attributes, device));
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
}

TEST_F(Cuda, DeviceMemoryCannotBeTouchedFromTheHost) {
  void* device = device_memory(4);
  EXPECT_DEATH(*static_cast<volatile int*>(device) = 1, "");
  EXPECT_CUDA(cudaFree(device));
}

TEST_F(Cuda, CopiesAreMadeAtSynchronize) {
  auto* device = static_cast<int*>(device_memory(4 * sizeof(int)));
  int *from = nullptr, *to = nullptr;
  ASSERT_CUDA(cudaMallocHost(reinterpret_cast<void**>(&from), 4 * sizeof(int)));
  ASSERT_CUDA(cudaMallocHost(reinterpret_cast<void**>(&to), 4 * sizeof(int)));
  std::iota(from, from + 4, 1);
  to[3] = -1;
  cudaStream_t stream = make_stream();
  ASSERT_CUDA(cudaMemcpyAsync(device, from, 16, cudaMemcpyHostToDevice, stream));
  ASSERT_CUDA(cudaMemcpyAsync(to, device, 16, cudaMemcpyDeviceToHost, stream));
  from[3] = 44;  // too early: the copy reads it later
  EXPECT_EQ(to[3], -1) << "nothing has waited yet";
  EXPECT_EQ(cudaStreamQuery(stream), cudaErrorNotReady);
  EXPECT_CUDA(cudaStreamQuery(stream));
  EXPECT_EQ(to[3], 44);
  EXPECT_EQ(standin_bytes("h2d"), 16);
  EXPECT_EQ(standin_bytes("d2h"), 16);
  EXPECT_EQ(standin_bytes("pageable"), 0);
  EXPECT_CUDA(cudaStreamDestroy(stream));
  EXPECT_CUDA(cudaFreeHost(from));
  EXPECT_CUDA(cudaFreeHost(to));
  EXPECT_CUDA(cudaFree(device));
}

TEST_F(Cuda, PageableSourcesAreTakenAtOnceAndTargetsWaitedFor) {
  auto* device = static_cast<int*>(device_memory(sizeof(int)));
  cudaStream_t stream = make_stream();
  int value = 7, back = 0;
  ASSERT_CUDA(cudaMemcpyAsync(device, &value, sizeof value, cudaMemcpyHostToDevice, stream));
  value = 8;
  ASSERT_CUDA(cudaMemcpyAsync(&back, device, sizeof back, cudaMemcpyDeviceToHost, stream));
  EXPECT_EQ(back, 7);
  EXPECT_EQ(standin_bytes("pageable"), 8);
  EXPECT_CUDA(cudaStreamDestroy(stream));
  EXPECT_CUDA(cudaFree(device));
}

TEST_F(Cuda, EventsOrderStreams) {
  auto* device = static_cast<int*>(device_memory(sizeof(int)));
  cudaStream_t first = make_stream(), second = make_stream();
  cudaEvent_t event = nullptr;
  ASSERT_CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  int back = 0;
  ASSERT_CUDA(cudaMemsetAsync(device, 1, sizeof(int), first));
  ASSERT_CUDA(cudaEventRecord(event, first));
  ASSERT_CUDA(cudaStreamWaitEvent(second, event, 0));
  ASSERT_CUDA(cudaMemcpyAsync(&back, device, sizeof back, cudaMemcpyDeviceToHost, second));
  EXPECT_EQ(back, 0x01010101);
  EXPECT_CUDA(cudaEventQuery(event));
  EXPECT_CUDA(cudaEventDestroy(event));
  EXPECT_CUDA(cudaStreamDestroy(first));
  EXPECT_CUDA(cudaStreamDestroy(second));
  EXPECT_CUDA(cudaFree(device));
}

TEST_F(Cuda, TheLegacyStreamWaitsForBlockingStreams) {
  auto* device = static_cast<int*>(device_memory(sizeof(int)));
  cudaStream_t blocking = nullptr;
  ASSERT_CUDA(cudaStreamCreate(&blocking));
  int back = 0;
  ASSERT_CUDA(cudaMemsetAsync(device, 2, sizeof(int), blocking));
  ASSERT_CUDA(cudaMemcpy(&back, device, sizeof back, cudaMemcpyDeviceToHost));
  EXPECT_EQ(back, 0x02020202);
  EXPECT_CUDA(cudaStreamDestroy(blocking));
  EXPECT_CUDA(cudaFree(device));
}

TEST_F(Cuda, MisuseOfMemoryIsDetected) {
  void* device = device_memory(8);
  int value = 0;
  EXPECT_NE(cudaMemcpy(device, &value, 16, cudaMemcpyHostToDevice), cudaSuccess);
  expect_misuse("16 bytes at offset 0 of 8 bytes");
  EXPECT_NE(cudaMemcpy(device, &value, 4, cudaMemcpyDeviceToHost), cudaSuccess);
  expect_misuse("direction");
  cudaStream_t stream = make_stream();
  ASSERT_CUDA(cudaMemsetAsync(device, 0, 8, stream));
  EXPECT_CUDA(cudaFree(device));  // waits for the work above
  EXPECT_NE(cudaMemsetAsync(device, 0, 8, stream), cudaSuccess);
  expect_misuse("freed or was never allocated");
  EXPECT_EQ(cudaFree(device), cudaErrorInvalidValue);
  expect_misuse("freed twice");
  EXPECT_EQ(cudaFree(&value), cudaErrorInvalidValue);
  expect_misuse("unknown");
  EXPECT_CUDA(cudaStreamDestroy(stream));
  EXPECT_NE(cudaStreamSynchronize(stream), cudaSuccess);
  expect_misuse("cudaStreamSynchronize: a stream that is destroyed");
}

TEST_F(Cuda, GraphsReplayWithNewContent) {
  auto* device = static_cast<int*>(device_memory(sizeof(int)));
  int* host = nullptr;
  ASSERT_CUDA(cudaMallocHost(reinterpret_cast<void**>(&host), 2 * sizeof(int)));
  cudaStream_t stream = make_stream();
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  ASSERT_CUDA(cudaMemcpyAsync(device, host, sizeof(int), cudaMemcpyHostToDevice, stream));
  ASSERT_CUDA(cudaMemcpyAsync(host + 1, device, sizeof(int), cudaMemcpyDeviceToHost, stream));
  cudaGraph_t graph = nullptr;
  ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t exec = nullptr;
  ASSERT_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  ASSERT_CUDA(cudaGraphDestroy(graph));
  for (int value : {3, 4}) {
    host[0] = value;
    ASSERT_CUDA(cudaGraphLaunch(exec, stream));
    ASSERT_CUDA(cudaStreamSynchronize(stream));
    EXPECT_EQ(host[1], value);
  }
  EXPECT_CUDA(cudaGraphExecDestroy(exec));
  EXPECT_NE(cudaGraphLaunch(exec, stream), cudaSuccess);
  expect_misuse("graph_exec");
  EXPECT_CUDA(cudaStreamDestroy(stream));
  EXPECT_CUDA(cudaFreeHost(host));
  EXPECT_CUDA(cudaFree(device));
}

TEST_F(Cuda, CaptureForbidsWaitingAndAllocating) {
  cudaStream_t stream = make_stream();
  cudaGraph_t graph = nullptr;
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(graph, nullptr);
  void* memory = nullptr;
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  EXPECT_EQ(cudaMalloc(&memory, 8), cudaErrorStreamCaptureUnsupported);
  EXPECT_NE(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  EXPECT_CUDA(cudaMalloc(&memory, 8));
  EXPECT_CUDA(cudaFree(memory));
  EXPECT_CUDA(cudaStreamEndCapture(stream, &graph));
  EXPECT_CUDA(cudaGraphDestroy(graph));
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  std::thread([] {
    void* other = nullptr;
    EXPECT_CUDA(cudaMalloc(&other, 8));  // another thread's business
    EXPECT_CUDA(cudaFree(other));
  }).join();
  EXPECT_CUDA(cudaStreamEndCapture(stream, &graph));
  EXPECT_CUDA(cudaGraphDestroy(graph));
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
  EXPECT_CUDA(cudaStreamDestroy(stream));
}

TEST_F(Cuda, FaultsStrikeTheNthCall) {
  standin_fail("cudaMalloc", 2, 2, 0);
  void* memory[4] = {};
  EXPECT_CUDA(cudaMalloc(&memory[0], 8));
  EXPECT_EQ(cudaMalloc(&memory[1], 8), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&memory[2], 8), cudaErrorMemoryAllocation);
  EXPECT_CUDA(cudaMalloc(&memory[3], 8));
  EXPECT_EQ(standin_injected(), 2);
  EXPECT_EQ(standin_calls("cudaMalloc"), 4);
  EXPECT_EQ(standin_can_fail("cudaMalloc"), 1);
  EXPECT_EQ(standin_can_fail("cudaGetLastError"), 0);
  standin_fail("cudaFree", 1, 1, 700);
  EXPECT_EQ(cudaFree(memory[0]), cudaErrorIllegalAddress) << "the error is reported, the memory freed";
  EXPECT_CUDA(cudaFree(memory[3]));
}

TEST_F(Cuda, TheEnvironmentSetsFaultsAndSettings) {
  setenv("STANDIN_FAIL", "cudaGetDevice:2,cudaMalloc:1:1:35", 1);
  setenv("STANDIN_DEVICES", "3", 1);
  standin_reset();
  unsetenv("STANDIN_FAIL");
  unsetenv("STANDIN_DEVICES");
  int value = 0;
  EXPECT_CUDA(cudaGetDeviceCount(&value));
  EXPECT_EQ(value, 3);
  EXPECT_CUDA(cudaGetDevice(&value));
  EXPECT_NE(cudaGetDevice(&value), cudaSuccess);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 8), cudaErrorInsufficientDriver);
}

}  // namespace
