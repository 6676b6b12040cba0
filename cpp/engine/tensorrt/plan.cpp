#include "engine/tensorrt/plan.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/quote.h"
#include "engine/payload.h"
#include "engine/tensorrt/cuda.h"
#include "engine/tensorrt/words.h"

namespace torchtrt_ws::tensorrt {
namespace {

// A TensorRT-RTX plan's header (seen, 1.4 to 1.7): its magic, u64 size of the plan at 16, version at 24 to 27.
constexpr std::string_view kRtxMagic = "vtrt";
constexpr uint64_t kRtxSizeOffset = 16;
constexpr uint64_t kRtxVersionOffset = 24;
constexpr uint64_t kRtxHeaderSize = 28;

Failure other_version(const std::string& subject, const Library& library, const uint8_t* plan, uint64_t size,
                      std::string words) {
  std::string found =
      "a plan that " + std::string(product_name(library.product)) + " " + library.version_text() + " does not run here";
  const std::optional<int32_t> built = rtx_plan_version(plan, size);
  if (library.product == Product::TensorRTRTX && built) {
    found =
        "a plan of TensorRT-RTX " + version_text(*built) + ", which " + library.version_text() + " does not run here";
  }
  return {ErrorCode::Incompatible, subject, found + " (" + words + ")", "a plan for this version and this GPU",
          "Build the engine again with " + std::string(product_name(library.product)) + " " + library.version_text() +
              " for this GPU, or install the version that built it"};
}

}  // namespace

Product product_of(const uint8_t* plan, uint64_t size) noexcept {
  const bool rtx = size >= kRtxMagic.size() && std::memcmp(plan, kRtxMagic.data(), kRtxMagic.size()) == 0;
  return rtx ? Product::TensorRTRTX : Product::TensorRT;
}

std::optional<int32_t> rtx_plan_version(const uint8_t* plan, uint64_t size) noexcept {
  if (size < kRtxHeaderSize) return std::nullopt;
  const uint8_t* version = plan + kRtxVersionOffset;
  return 10000 * version[0] + 100 * version[1] + version[2];
}

bool names_a_platform(const std::string& target_platform) noexcept {
  constexpr std::string_view kSystems[] = {"linux_", "windows_", "win_"};
  return std::any_of(std::begin(kSystems), std::end(kSystems),
                     [&](std::string_view system) { return target_platform.rfind(system, 0) == 0; });
}

Status check_platform(const std::string& subject, const std::string& target_platform) {
#if defined(__aarch64__)
  constexpr std::string_view kHere = "linux_aarch64";
#else
  constexpr std::string_view kHere = "linux_x86_64";
#endif
  if (!names_a_platform(target_platform) || target_platform == kHere) return ok_status();
  return Failure{ErrorCode::Incompatible, subject, "a plan for " + in_quotes(target_platform),
                 "one for " + std::string(kHere), "Build the engine for this platform and save the program again"};
}

Status check_plan(const std::string& subject, const uint8_t* plan, uint64_t size) {
  if (size == 0) {
    return Failure{ErrorCode::BadEngine, subject, "an empty plan", "a TensorRT plan", "Save the program again"};
  }
  if (is_executorch_program(plan, size)) {
    return Failure{ErrorCode::Incompatible, subject, "an ExecuTorch program", "a TensorRT or TensorRT-RTX plan",
                   "It is for the engine kind \"host\"; save the program again"};
  }
  if (product_of(plan, size) != Product::TensorRTRTX) return ok_status();
  uint64_t declared = 0;
  if (size >= kRtxHeaderSize) std::memcpy(&declared, plan + kRtxSizeOffset, sizeof(declared));
  if (size >= kRtxHeaderSize && declared <= size) return ok_status();
  return Failure{
      ErrorCode::BadEngine, subject, "a TensorRT-RTX plan of " + std::to_string(size) + " bytes",
      size < kRtxHeaderSize ? "at least its header" : "the " + std::to_string(declared) + " its header names",
      "The file is truncated; copy or save it again"};
}

Failure refused_plan(const std::string& subject, const Library& library, const uint8_t* plan, uint64_t size,
                     std::string words) {
  if (words.empty()) words = "TensorRT gave no reason";
  if (says_out_of_memory(words)) {
    return {ErrorCode::DoesNotFit, subject, std::move(words), "enough free memory to deserialize the plan",
            "Free memory on the device and in the host"};
  }
  if (says_other_version(words)) return other_version(subject, library, plan, size, std::move(words));
  if (says_cuda_failed(words)) {
    return {ErrorCode::EngineFault, subject, std::move(words), "CUDA to work while the plan is read",
            "Check that " + std::string(product_name(library.product)) + " " + library.version_text() +
                " supports this GPU and driver (nvidia-smi shows them)"};
  }
  return {ErrorCode::BadEngine, subject, std::move(words),
          "a plan that " + std::string(product_name(library.product)) + " " + library.version_text() + " reads",
          "The engine is damaged, or no plan at all; save the program again"};
}

Failure refused_while_reading(Failure refused, cudaError_t before) {
  const cudaError_t error = error_since(before);
  if (error == cudaSuccess || refused.code != ErrorCode::BadEngine) return refused;
  Failure failed = cuda_failure(refused.subject, "CUDA while the plan was read", error);
  failed.found += ", and TensorRT says: " + refused.found;
  return failed;
}

}  // namespace torchtrt_ws::tensorrt
