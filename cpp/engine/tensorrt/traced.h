#pragma once

#include "engine/stage.h"

// CMake defines it where it finds NVTX 3's headers; there is no library to link.
#ifdef TORCHTRT_WS_NVTX
#include <nvtx3/nvtx3.hpp>
#endif

namespace torchtrt_ws::tensorrt {

#ifdef TORCHTRT_WS_NVTX
/// The domain of our ranges in NVIDIA's tools.
struct NvtxDomain {
  static constexpr const char* name = "torchtrt_ws";  // as nvtx3.hpp asks for it
};

/// A range of this thread in Nsight Systems and other tools of NVIDIA's. Without one it costs a test of a pointer.
using Range = nvtx3::scoped_range_in<NvtxDomain>;
#else
/// Nothing: this adapter was compiled without NVTX.
class Range {
 public:
  explicit Range(const char*) noexcept {}
  ~Range() {}  // not trivial: a range that is never used is what it is for
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};
#endif

/// A stage for ExecuTorch's event tracer and a range for NVIDIA's tools: from here to the end of the block.
class Traced {
 public:
  explicit Traced(const char* name) : stage_(name), range_(name) {}

 private:
  Stage stage_;
  Range range_;
};

}  // namespace torchtrt_ws::tensorrt
