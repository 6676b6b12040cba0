#pragma once

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/tensorrt/io.h"
#include "engine/tensorrt/profiles.h"

namespace torchtrt_ws::tensorrt {

/// Memory on the host at an address that TensorRT takes for a shape tensor.
class HostMemory {
 public:
  /// Bytes, zeroed; std::bad_alloc where there is no memory.
  explicit HostMemory(size_t bytes);

  void* data() const noexcept { return data_.get(); }

 private:
  struct Free {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<void, Free> data_;
};

/// The values of the inputs that are shape tensors (Io::shape_inputs): TensorRT reads them from host memory when it
/// infers shapes and when a run is enqueued, so they are kept in memory of ours, whose address the context keeps.
class ShapeValues {
 public:
  /// `io` outlives this object.
  ShapeValues(std::string subject, const Io& io);

  /// Reads those of a call from wherever its inputs are; waits for `stream` where that is device memory.
  /// Fails with BadArgument for an input without memory, EngineFault.
  Status read(const std::vector<TensorView>& inputs, cudaStream_t stream);

  /// Whether tell() would tell the context other values: it must not run with the old ones then, nor be replayed.
  bool would_change() const noexcept;

  /// Whether tell() would change memory that the context was told of. TensorRT may read there until a run is done: one
  /// in flight must be waited for (NvInferRuntime.h, enqueueV3: modifying registered memory is undefined behavior).
  bool overwrites() const noexcept;

  /// Makes the values that were read the context's. Fails with EngineFault; the next call tells them again.
  Status tell(nvinfer1::IExecutionContext& context);

  /// The context is gone, or has forgotten what it was told.
  void forget() noexcept;

  /// What was read, as shapes for the choice of a profile (Profiles), one for each of these inputs; valid until the
  /// next read().
  void append_to(std::vector<Shape>& shapes) const;

 private:
  struct Slot {
    size_t input;
    size_t count;    // elements
    HostMemory own;  // what the context was told, and where
    HostMemory read;
    std::vector<int32_t> values;  // of `read`; what is larger is 2^31-1, and in no profile
    bool told = false;
  };

  size_t bytes_of(const Slot& slot) const noexcept;
  bool differs(const Slot& slot) const noexcept;

  const std::string subject_;
  const Io& io_;
  std::vector<Slot> slots_;
};

/// Element `index` of a shape tensor, whose elements have 4 or 8 bytes.
int64_t shape_value(const void* data, size_t element_bytes, size_t index) noexcept;

/// Writes it.
void put_shape_value(void* data, size_t element_bytes, size_t index, int64_t value) noexcept;

}  // namespace torchtrt_ws::tensorrt
