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
inline constexpr std::string_view kCudaGraphKey = "cuda_graph";  // a bool
inline constexpr std::string_view kDeviceIdKey = "device_id";    // CUDA's index of the device
inline constexpr std::string_view kVerifyKey = "verify";         // "checksum" (the default), "digest" or "off"

inline constexpr std::string_view kShareEnginesKey = "use_shared_engines";             // a bool; true where not given
inline constexpr std::string_view kShareScratchKey = "use_shared_activation_scratch";  // a bool; true where not given

inline constexpr std::string_view kContextsKey =
    "contexts";  // how many loads of the file will share; 1 where not given

// What get_option() answers, as strings; kEngineBudgetPrefix + engine name also: its budget in bytes.
inline constexpr std::string_view kEnginesKey = "engines";    // names of the live engines, with commas
inline constexpr std::string_view kEnginePrefix = "engine.";  // + engine name: its report as JSON

}  // namespace torchtrt_ws
