#pragma once

#include <vector>

#include "engine/adapter_survey.h"

namespace torchtrt_ws::tensorrt {

/// Facts "headers", "TensorRT", "TensorRT-RTX", "CUDA runtime", "driver", and "cuda:N" for each device ("device" where
/// there is none). A library is found as a load would find it, by loading it. No CUDA context is made.
std::vector<CheckFact> survey_tensorrt();

}  // namespace torchtrt_ws::tensorrt
