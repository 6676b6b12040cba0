#include "engine/tensorrt/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/python_lock.h"

namespace torchtrt_ws::tensorrt {
namespace {

#ifdef TORCHTRT_WS_TENSORRT_LIBRARY_PATH
constexpr std::string_view kConfigured = TORCHTRT_WS_TENSORRT_LIBRARY_PATH;
#else
constexpr std::string_view kConfigured;
#endif

/// Versions whose classes are laid out like those of our headers: [first, past).
struct Versions {
  int32_t first;
  int32_t past;
};

constexpr bool kRtxHeaders = NV_TENSORRT_MAJOR < 8;  // TensorRT-RTX's own SDK counts from 1

/// TensorRT changes the layout with its major version. TensorRT-RTX did so within 1.x: 1.4.0 has TensorRT 10's, 1.5.0
/// to 1.7.1 have TensorRT 11's (seen, by loading each with both headers; the wrong ones crash).
constexpr Versions accepted(Product product) {
  constexpr Versions kNone{0, 0};
  if (product == Product::TensorRT) {
    if (kRtxHeaders) return kNone;
    // deserializeCudaEngine(IStreamReaderV2&) came with 10.7.
    return {NV_TENSORRT_MAJOR == 10 ? 100700 : NV_TENSORRT_MAJOR * 10000, (NV_TENSORRT_MAJOR + 1) * 10000};
  }
  if (kRtxHeaders) return NV_TENSORRT_MINOR < 5 ? Versions{10400, 10500} : Versions{10500, 20000};
  if (NV_TENSORRT_MAJOR == 10) return {10400, 10500};
  return NV_TENSORRT_MAJOR == 11 ? Versions{10500, 20000} : kNone;
}

std::string soname(Product product) {
  if (product == Product::TensorRTRTX) return "libtensorrt_rtx.so.1";
  return "libnvinfer.so." + std::to_string(NV_TENSORRT_MAJOR);
}

const char* variable(Product product) {
  return product == Product::TensorRTRTX ? "TORCHTRT_WS_TENSORRT_RTX" : "TORCHTRT_WS_NVINFER";
}

std::vector<std::string> candidates(Product product) {
  const char* chosen = std::getenv(variable(product));
  if (chosen != nullptr && *chosen != '\0') return {chosen};
  std::vector<std::string> paths;
  const bool configured_is_rtx = kConfigured.find("tensorrt_rtx") != std::string_view::npos;
  if (!kConfigured.empty() && configured_is_rtx == (product == Product::TensorRTRTX)) paths.emplace_back(kConfigured);
  paths.push_back(soname(product));
  return paths;
}

Failure wrong_headers(Product product) {
  return {ErrorCode::NotSupported, product_name(product), "an adapter compiled with the headers of " + headers_text(),
          product == Product::TensorRTRTX ? "headers of TensorRT 11 (for TensorRT-RTX 1.5 and later)"
                                          : "headers of TensorRT 10 or 11",
          "Build libtorchtrt_ws_tensorrt with those headers (CMake: TENSORRT_INCLUDE_DIR)"};
}

Failure not_found(Product product, const std::string& words) {
  const bool rtx = product == Product::TensorRTRTX;
  const std::string install =
      rtx ? "Install TensorRT-RTX (pip install tensorrt-rtx)" : "Install TensorRT " + std::to_string(NV_TENSORRT_MAJOR);
  return {ErrorCode::NotSupported, product_name(product), words, soname(product),
          install + ", and put its folder on LD_LIBRARY_PATH or its path in " + variable(product)};
}

Result<Library> open_library(Product product, const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: TensorRT's objects outlive our callers
  if (handle == nullptr) {
    const char* words = dlerror();
    return not_found(product, words != nullptr ? words : path);
  }
  const auto version = reinterpret_cast<int32_t (*)() noexcept>(dlsym(handle, "getInferLibVersion"));
  const auto create =
      reinterpret_cast<void* (*)(void*, int32_t) noexcept>(dlsym(handle, "createInferRuntime_INTERNAL"));
  const auto refitter =
      reinterpret_cast<void* (*)(void*, void*, int32_t) noexcept>(dlsym(handle, "createInferRefitter_INTERNAL"));
  if (version == nullptr || create == nullptr) {
    return not_found(product, path + ", without getInferLibVersion or createInferRuntime_INTERNAL");
  }
  Library library{product, path, version(), create, refitter};
  constexpr Versions kRanges[] = {accepted(Product::TensorRT), accepted(Product::TensorRTRTX)};
  const Versions range = kRanges[static_cast<size_t>(product)];
  if (library.version >= range.first && library.version < range.past) return library;
  return Failure{ErrorCode::NotSupported, product_name(product), "version " + library.version_text() + " in " + path,
                 version_text(range.first) + " or later, before " + version_text(range.past) +
                     " (this adapter was compiled with " + headers_text() + " headers)",
                 "Install such a version, or build libtorchtrt_ws_tensorrt with headers that fit this one"};
}

Result<Library> open_first(Product product) {
  const Versions range = accepted(product);
  if (range.past == 0) return wrong_headers(product);
  std::optional<Failure> first;
  for (const std::string& path : candidates(product)) {
    Result<Library> library = open_library(product, path);
    if (library.ok()) return library;
    if (!first) first = std::move(library).failure();
  }
  return *std::move(first);
}

}  // namespace

const char* product_name(Product product) noexcept {
  return product == Product::TensorRTRTX ? "TensorRT-RTX" : "TensorRT";
}

std::string headers_text() {
  return std::string(kRtxHeaders ? "TensorRT-RTX " : "TensorRT ") + std::to_string(NV_TENSORRT_MAJOR) + "." +
         std::to_string(NV_TENSORRT_MINOR);
}

std::string version_text(int32_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

std::string Library::version_text() const { return tensorrt::version_text(version); }

Result<const Library*> load_library(Product product) {
  static std::mutex mutex;  // guards `loaded`
  static std::optional<Library> loaded[2];
  const auto lock = lock_patiently(mutex);
  std::optional<Library>& slot = loaded[static_cast<size_t>(product)];
  if (!slot) {
    Result<Library> library = open_first(product);
    if (!library.ok()) return std::move(library).failure();
    slot = std::move(library).value();
  }
  const Library* found = &*slot;
  return found;
}

}  // namespace torchtrt_ws::tensorrt
