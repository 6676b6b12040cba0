#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace torchtrt_ws::tensorrt {

/// The two runtimes that read plans through the same interface.
enum class Product { TensorRT, TensorRTRTX };

/// "TensorRT" or "TensorRT-RTX". Never null.
const char* product_name(Product product) noexcept;

/// "TensorRT 11.1" or "TensorRT-RTX 1.6": the headers that this adapter was compiled with.
std::string headers_text();

/// "1.6.1" for 10601: 10000 * major + 100 * minor + patch, as getInferLibVersion() counts.
std::string version_text(int32_t version);

/// A runtime library that is loaded for as long as the process lives.
struct Library {
  Product product;
  std::string path;  // as it was asked for
  int32_t version;   // getInferLibVersion(): 10000 * major + 100 * minor + patch
  void* (*create_runtime)(void* logger, int32_t version) noexcept;
  void* (*create_refitter)(void* engine, void* logger, int32_t version) noexcept;  // null: a library without it

  std::string version_text() const;  // "1.6.1"

  /// Whether this library has a call that came with TensorRT `first`; calling one it lacks would crash. Every
  /// TensorRT-RTX that load_library() accepts has all calls we make.
  bool has(int32_t first) const noexcept { return product == Product::TensorRTRTX || version >= first; }
};

/// Loads the runtime of `product` on first use: the path in TORCHTRT_WS_NVINFER or TORCHTRT_WS_TENSORRT_RTX alone if
/// that is set, else the library this adapter was configured with (CMake's TENSORRT_LIBRARY), else the loader's
/// libnvinfer.so.<major> or libtensorrt_rtx.so.1: on LD_LIBRARY_PATH, in the folder where pip puts it beside this
/// package (RUNPATH, see CMakeLists.txt), in the system's folders. Thread-safe; a failure is tried again by the next
/// call.
///
/// Fails with NotSupported when no library loads, or when it has another object layout than the headers this adapter
/// was compiled with.
Result<const Library*> load_library(Product product);

}  // namespace torchtrt_ws::tensorrt
