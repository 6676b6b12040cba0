#pragma once

#include <string_view>

namespace torchtrt_ws {

/// The delegate's backend id, as Torch-TensorRT writes it into a program. ExecuTorch addresses options by it.
inline constexpr char kBackendId[] = "TensorRTBackend";

// Options at load and through set_option(). Numbers are decimal digits in a string, or an int of 0 or more; LoadOptions
// (load_options.h) writes them. The first is also the key of the compile spec that is baked into a program.
inline constexpr std::string_view kBudgetKey = "weight_streaming_budget";  // bytes, of each engine
inline constexpr std::string_view kEngineBudgetPrefix =
    "weight_streaming_budget.";  // + engine name: bytes, of that one
inline constexpr std::string_view kTotalBudgetKey = "weight_streaming_total_budget";  // bytes, of the program
inline constexpr std::string_view kPercentKey = "weight_streaming_percent";           // 0 to 100, of each engine
inline constexpr std::string_view kReserveKey = "weight_streaming_reserve";           // bytes left free on the device
// Beside these: bytes that an automatic budget leaves free for what is not foreseen; kDefaultMargin where not given.
inline constexpr std::string_view kMarginKey = "weight_streaming_margin";
// At load only.
// Whether runs are replayed as CUDA graphs: "auto", "on" or "off" (where neither this nor the next is given); or a
// bool.
inline constexpr std::string_view kCudaGraphKey = "cuda_graph";
// The same as Torch-TensorRT calls it, at load and baked: a bool.
inline constexpr std::string_view kUseCudaGraphsKey = "use_cuda_graphs";
inline constexpr std::string_view kDeviceIdKey = "device_id";  // CUDA's index of the device
inline constexpr std::string_view kVerifyKey = "verify";       // "checksum" (the default), "digest" or "off"

inline constexpr std::string_view kShareEnginesKey = "use_shared_engines";             // a bool; true where not given
inline constexpr std::string_view kShareScratchKey = "use_shared_activation_scratch";  // a bool; true where not given
inline constexpr std::string_view kHugePagesKey = "huge_pages";                        // a bool; true where not given
// Where TensorRT-RTX's compiled kernels are kept: a folder, or kCacheOff; beside a host engine's packed weights
// where not given.
inline constexpr std::string_view kRuntimeCacheKey = "runtime_cache";
// Where a TensorRT plan that was saved without its weights is kept with them: a folder, or kCacheOff, as where not
// given.
inline constexpr std::string_view kRefitCacheKey = "refit_cache";
inline constexpr std::string_view kCacheOff = "off";

inline constexpr std::string_view kContextsKey =
    "contexts";  // how many loads of the file will share; 1 where not given

/// The environment variable with the budget of programs that are loaded without one, as people write it: "auto",
/// "1GiB", "50%", "free-2GiB". Weaker than any option, stronger than what is baked into a program.
inline constexpr char kBudgetVariable[] = "TORCHTRT_WS_WEIGHT_STREAMING_BUDGET";

/// The environment variable that says how a load tells what came of it, in one line of ExecuTorch's log: "text", or
/// "json" for one object, of any length. Text where not given. Read with each load.
inline constexpr char kLogVariable[] = "TORCHTRT_WS_LOG_FORMAT";

/// The environment variable that, set to "off" when this library is loaded, leaves it to others to register
/// ExecuTorch's allocator of CUDA memory: ExecuTorch aborts at a second registration, and its own CUDA backend makes
/// one without asking. Not needed where that backend is loaded first.
inline constexpr char kDeviceAllocatorVariable[] = "TORCHTRT_WS_DEVICE_ALLOCATOR";

// What get_option() answers, as strings; kEngineBudgetPrefix + engine name also: its budget in bytes.
inline constexpr std::string_view kEnginesKey = "engines";    // names of the live engines, with commas
inline constexpr std::string_view kEnginePrefix = "engine.";  // + engine name: its report as JSON

}  // namespace torchtrt_ws
