#include "engine/tensorrt/validity_words.h"

#include <string>

namespace torchtrt_ws::tensorrt {
namespace {

struct Reason {
  uint64_t bit;
  const char* words;
  const char* remedy;
};

constexpr Reason kReasons[] = {
    {kVersionMismatch, "another version of TensorRT-RTX built the plan",
     "Build it with the version that is installed, or install the one that built it."},
    {kUnsupportedCc, "the plan is not for this GPU's compute capability",
     "Build it for this one (compute_capabilities)."},
    {kOldCudaDriver, "the CUDA driver is older than where the plan was built", "Update the NVIDIA driver."},
    {kOldCudaRuntime, "the CUDA runtime is older than where the plan was built",
     "Install the CUDA runtime of the build, or a newer one."},
    {kInsufficientGpuMemory, "the GPU's memory does not hold all weights",
     "Keep fewer of them there: a smaller weight streaming budget."},
    {kMalformedEngine, "the header is none that this version reads", "Copy the file again, or save it again."},
    {kCudaError, "CUDA's driver or runtime is not installed as it should be",
     "Install them again: nvidia-smi shows the driver."},
};

/// A word, and a space in front of all but the first.
void append(std::string& text, const char* separator, const std::string& more) {
  if (!text.empty()) text += separator;
  text += more;
}

}  // namespace

CheckFact validity_fact(const HeaderValidity& said) {
  if (said.validity == kValid) return {"validity", Verdict::Ok, "TensorRT-RTX finds the plan's header valid", "", {}};
  if (said.validity == kSuboptimal) {
    return {"validity",
            Verdict::Advice,
            "TensorRT-RTX finds the plan's header valid, and the plan slower here than it could be",
            "Build it for this GPU and driver.",
            {}};
  }
  std::string reasons, remedies;
  uint64_t left = said.diagnostics;
  for (const Reason& reason : kReasons) {
    if ((said.diagnostics & reason.bit) == 0) continue;
    left &= ~reason.bit;
    append(reasons, ", ", reason.words);
    append(remedies, " ", reason.remedy);
  }
  if (left != 0 || reasons.empty()) append(reasons, ", ", "diagnostics " + std::to_string(said.diagnostics));
  append(remedies, " ", "It may load all the same: what it says here is no verdict.");
  return {"validity", Verdict::Advice, "TensorRT-RTX calls the plan's header invalid: " + reasons, remedies, {}};
}

}  // namespace torchtrt_ws::tensorrt
