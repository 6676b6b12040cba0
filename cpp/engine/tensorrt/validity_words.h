#pragma once

#include <cstdint>

#include "torchtrt_ws/check.h"

namespace torchtrt_ws::tensorrt {

/// What TensorRT-RTX says of a plan's header: EngineValidity and EngineInvalidityDiagnostics (TensorRT-RTX 1.3 to 1.6,
/// NvInferRuntime.h), as numbers, since TensorRT's own headers have no such types.
struct HeaderValidity {
  int32_t validity;      // kVALID, kSUBOPTIMAL, kINVALID
  uint64_t diagnostics;  // kVERSION_MISMATCH, ...: why it is invalid
};

inline constexpr int32_t kValid = 0, kSuboptimal = 1, kInvalid = 2;
inline constexpr uint64_t kVersionMismatch = 1 << 0, kUnsupportedCc = 1 << 1, kOldCudaDriver = 1 << 2,
                          kOldCudaRuntime = 1 << 3, kInsufficientGpuMemory = 1 << 4, kMalformedEngine = 1 << 5,
                          kCudaError = 1 << 6;

/// That in words, each reason with its own remedy. Never a no: TensorRT-RTX 1.6.1 calls plans invalid on an H100
/// (kUNSUPPORTED_CC) that run there.
CheckFact validity_fact(const HeaderValidity& said);

}  // namespace torchtrt_ws::tensorrt
