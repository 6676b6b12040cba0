#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_kind.h"

// What the tests of the TensorRT adapter share: tensors in memory of each kind, engines from plans, and a look at
// results. Knows nothing of the stand-ins, so that the acceptance tests run on a real GPU as well.
namespace torchtrt_ws::testing {

using executorch::aten::ScalarType;
using executorch::aten::SizesType;

template <typename T>
::testing::AssertionResult is_ok(const Result<T>& result) {
  if (result.ok()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << error_code_name(result.failure().code) << ": " << result.failure().message();
}

/// Expects a failure with this code whose message says something in each of its parts, and returns the message.
template <typename T>
std::string failed_with(const Result<T>& result, ErrorCode code) {
  if (result.ok()) {
    ADD_FAILURE() << "no failure; expected " << error_code_name(code);
    return {};
  }
  const Failure& failure = result.failure();
  EXPECT_EQ(failure.code, code) << error_code_name(failure.code) << ": " << failure.message();
  EXPECT_FALSE(failure.subject.empty() || failure.found.empty() || failure.expected.empty() ||
               failure.next_step.empty())
      << failure.message();
  return failure.message();
}

enum class Where { Pageable, Pinned, Device };

/// Memory of one tensor, at `misalign` bytes past an address that is aligned to 256.
class Memory {
 public:
  Memory(Where where, size_t size, size_t misalign = 0, int device = 0);
  ~Memory();
  Memory(Memory&& other) noexcept { *this = std::move(other); }
  Memory& operator=(Memory&& other) noexcept;

  void* data() const { return data_; }
  size_t size() const { return size_; }
  bool on_device() const { return where_ == Where::Device; }

  /// Copies, through CUDA's legacy default stream where the memory is on a device; waits.
  void write(const void* from, size_t size);
  void read(void* to, size_t size) const;

 private:
  Where where_ = Where::Pageable;
  size_t size_ = 0;
  int device_ = 0;
  void* base_ = nullptr;
  void* data_ = nullptr;
};

/// A tensor with memory of its own, big enough for `sizes`.
struct Tensor {
  Tensor(ScalarType type, std::vector<SizesType> shape, Where where = Where::Device, size_t misalign = 0,
         int device = 0);

  TensorView view() const;
  size_t nbytes() const;

  template <typename T>
  void put(const std::vector<T>& values) {
    memory.write(values.data(), values.size() * sizeof(T));
  }
  template <typename T>
  std::vector<T> get() const {
    std::vector<T> values(nbytes() / sizeof(T));
    memory.read(values.data(), values.size() * sizeof(T));
    return values;
  }

  ScalarType dtype;
  std::vector<SizesType> sizes;
  Memory memory;
};

size_t bytes_of(ScalarType type);

/// Hands out the test's output tensors, resized, as a program would.
class Sink final : public OutputSink {
 public:
  explicit Sink(std::vector<Tensor*> outputs) : outputs_(std::move(outputs)) {}
  Result<TensorView> resize(size_t index, const SizesType* sizes, size_t rank) override;

 private:
  std::vector<Tensor*> outputs_;
};

struct OpenOptions {
  int metadata_device = 0;
  std::optional<int> device_id = {};
  GraphUse cuda_graph = GraphUse::Off;
  int64_t margin = kDefaultMargin;
  const void* program = nullptr;  // engines with the same one share activation memory
  std::string runtime_cache = "off";
};

/// The kind under test.
OpenEngine tensorrt_kind();

/// Opens a plan that lies on the heap. `released`, where given, is set when the payload is released.
Result<std::unique_ptr<Engine>> open_plan(const std::vector<uint8_t>& plan, const Metadata& metadata,
                                          const OpenOptions& options = {}, bool* released = nullptr);

/// Metadata of a file without our facts: names and shapes of inputs, then of outputs.
Metadata metadata_of(const std::vector<Binding>& bindings);

/// While it lives, this thread's calls of CUDA are the test's own: stand-ins neither count nor fail them. Does nothing
/// with the real libraries.
class TestsOwn {
 public:
  TestsOwn();
  ~TestsOwn();
  TestsOwn(const TestsOwn&) = delete;
  TestsOwn& operator=(const TestsOwn&) = delete;
};

/// Expects that no rule of CUDA or TensorRT was broken since this was last asked, as far as stand-ins see it.
void expect_no_misuse();

int device_count();
int current_device();
int64_t free_on_device(int device = 0);

/// Waits for all work on `stream` (null: the legacy default stream).
void synchronize(void* stream = nullptr);

}  // namespace torchtrt_ws::testing
