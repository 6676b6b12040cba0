#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/tensorrt/library.h"

namespace torchtrt_ws::tensorrt {

/// The runtime that reads this plan: TensorRT-RTX for one that starts with `vtrt`, else TensorRT, whose plans have no
/// magic that its documentation promises.
Product product_of(const uint8_t* plan, uint64_t size) noexcept;

/// Refuses what can be told from the first bytes: an ExecuTorch program, and a TensorRT-RTX plan that is shorter than
/// its header says. TensorRT's own words for these are about its internals.
/// Fails with Incompatible or BadEngine. `subject` names the engine.
Status check_plan(const std::string& subject, const uint8_t* plan, uint64_t size);

/// The version that built a TensorRT-RTX plan, as getInferLibVersion() counts; nullopt where the plan ends before it.
std::optional<int32_t> rtx_plan_version(const uint8_t* plan, uint64_t size) noexcept;

/// Whether this is one of the names that Torch-TensorRT records: its C++ runtime (core/runtime/Platform.cpp) writes
/// "linux_x86_64", "linux_aarch64", "windows_x86_64" and "windows_arm64", its Python "win_x86_64" and "win_arm64" where
/// it has no such runtime. "unknown", and an empty name, say nothing.
bool names_a_platform(const std::string& target_platform) noexcept;

/// Refuses a plan for another operating system or processor. Fails with Incompatible.
Status check_platform(const std::string& subject, const std::string& target_platform);

/// Why TensorRT would not deserialize the plan, from the words it logged: DoesNotFit, Incompatible, EngineFault or
/// BadEngine. TensorRT gives reasons as text only (NvInferRuntime.h: IRuntime::deserializeCudaEngine returns null).
Failure refused_plan(const std::string& subject, const Library& library, const uint8_t* plan, uint64_t size,
                     std::string words);

/// `refused`, or what CUDA says when it failed meanwhile and the plan is not to blame: TensorRT speaks of a plan that
/// ends early where its bytes could not be copied. `before`: cudaPeekAtLastError() before the plan was read. Clears an
/// error that came since.
Failure refused_while_reading(Failure refused, cudaError_t before);

}  // namespace torchtrt_ws::tensorrt
