#include "support.h"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <numeric>

// Null where there are no stand-ins; tests/standin/standin.h documents them.
extern "C" {
void standin_exempt(int on) __attribute__((weak));
int64_t standin_misuses(void) __attribute__((weak));
const char* standin_misuse(int64_t index) __attribute__((weak));
}

namespace torchtrt_ws::testing {
namespace {

constexpr size_t kAlignment = 256;

void must(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  ADD_FAILURE() << what << ": " << cudaGetErrorString(error);
}

/// The test's own work on a device: CUDA allocates on the current one, and the tests leave that as it was.
class OnDevice {
 public:
  explicit OnDevice(int device) : before_(current_device()) { must(cudaSetDevice(device), "cudaSetDevice"); }
  ~OnDevice() { must(cudaSetDevice(before_), "cudaSetDevice"); }

 private:
  TestsOwn own_;
  int before_;
};

}  // namespace

Memory::Memory(Where where, size_t size, size_t misalign, int device) : where_(where), size_(size), device_(device) {
  const size_t space = size + misalign + kAlignment;
  const OnDevice on(device);
  switch (where) {
    case Where::Pageable:
      base_ = std::malloc(space);
      break;
    case Where::Pinned:
      must(cudaMallocHost(&base_, space), "cudaMallocHost");
      break;
    case Where::Device:
      must(cudaMalloc(&base_, space), "cudaMalloc");
      break;
  }
  const auto address = (reinterpret_cast<uintptr_t>(base_) + kAlignment - 1) / kAlignment * kAlignment;
  data_ = reinterpret_cast<void*>(address + misalign);
}

Memory::~Memory() {
  if (base_ == nullptr) return;
  const TestsOwn own;
  switch (where_) {
    case Where::Pageable:
      std::free(base_);
      break;
    case Where::Pinned:
      must(cudaFreeHost(base_), "cudaFreeHost");
      break;
    case Where::Device:
      must(cudaFree(base_), "cudaFree");
      break;
  }
}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(where_, other.where_);
  std::swap(size_, other.size_);
  std::swap(device_, other.device_);
  std::swap(base_, other.base_);
  std::swap(data_, other.data_);
  return *this;
}

void Memory::write(const void* from, size_t size) {
  if (size == 0) return;  // there may be no memory either
  if (!on_device()) {
    std::memcpy(data_, from, size);
    return;
  }
  const OnDevice on(device_);
  must(cudaMemcpy(data_, from, size, cudaMemcpyHostToDevice), "cudaMemcpy");
  must(cudaStreamSynchronize(nullptr), "cudaStreamSynchronize");
}

void Memory::read(void* to, size_t size) const {
  if (size == 0) return;
  if (!on_device()) {
    std::memcpy(to, data_, size);
    return;
  }
  const OnDevice on(device_);
  must(cudaMemcpy(to, data_, size, cudaMemcpyDeviceToHost), "cudaMemcpy");
}

size_t bytes_of(ScalarType type) {
  switch (type) {
    case ScalarType::Long:
    case ScalarType::Double:
      return 8;
    case ScalarType::Int:
    case ScalarType::Float:
      return 4;
    case ScalarType::Half:
    case ScalarType::BFloat16:
      return 2;
    default:
      return 1;
  }
}

namespace {

size_t volume(const std::vector<SizesType>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), size_t{1},
                         [](size_t count, SizesType size) { return count * static_cast<size_t>(size); });
}

}  // namespace

Tensor::Tensor(ScalarType type, std::vector<SizesType> shape, Where where, size_t misalign, int device)
    : dtype(type), sizes(std::move(shape)), memory(where, volume(sizes) * bytes_of(type), misalign, device) {}

size_t Tensor::nbytes() const { return volume(sizes) * bytes_of(dtype); }

TensorView Tensor::view() const { return {dtype, memory.data(), sizes.data(), sizes.size(), nbytes()}; }

Result<TensorView> Sink::resize(size_t index, const SizesType* sizes, size_t rank) {
  Tensor& output = *outputs_.at(index);
  output.sizes.assign(sizes, sizes + rank);
  if (output.nbytes() <= output.memory.size()) return output.view();
  return Failure{ErrorCode::BadArgument, "output " + std::to_string(index), "too little memory", "more", "Plan more"};
}

OpenEngine tensorrt_kind() {
  auto kind = find_engine_kind("tensorrt");
  if (!kind.ok()) {
    ADD_FAILURE() << kind.failure().message();
    std::abort();
  }
  return kind.value();
}

Result<std::unique_ptr<Engine>> open_plan(const std::vector<uint8_t>& plan, const Metadata& metadata,
                                          const OpenOptions& options, bool* released) {
  auto copy = std::make_shared<std::vector<uint8_t>>(plan);  // gone once the payload is released: ASan sees later use
  const uint8_t* data = copy->data();
  const uint64_t size = copy->size();
  Payload payload(data, size, [copy = std::move(copy), released]() mutable {
    copy.reset();
    if (released != nullptr) *released = true;
  });
  Metadata described = metadata;
  described.device_id = options.metadata_device;
  const std::string name = "forward";
  return tensorrt_kind()(std::move(payload), OpenRequest{described, name, options.device_id, options.cuda_graph,
                                                         Verify::Checksum, options.program, options.program != nullptr,
                                                         options.margin, true, options.runtime_cache});
}

Metadata metadata_of(const std::vector<Binding>& bindings) {
  Metadata metadata{};
  metadata.io_bindings = bindings;
  return metadata;
}

TestsOwn::TestsOwn() {
  if (standin_exempt != nullptr) standin_exempt(1);
}
TestsOwn::~TestsOwn() {
  if (standin_exempt != nullptr) standin_exempt(0);
}

void expect_no_misuse() {
  static int64_t seen = 0;
  if (standin_misuses == nullptr) return;
  for (; seen < standin_misuses(); ++seen) ADD_FAILURE() << standin_misuse(seen);
}

int device_count() {
  const TestsOwn own;
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

int current_device() {
  const TestsOwn own;
  int device = -1;
  must(cudaGetDevice(&device), "cudaGetDevice");
  return device;
}

int64_t free_on_device(int device) {
  const OnDevice on(device);
  size_t free = 0, total = 0;
  must(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return static_cast<int64_t>(free);
}

void synchronize(void* stream) {
  const TestsOwn own;
  must(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "cudaStreamSynchronize");
}

}  // namespace torchtrt_ws::testing
