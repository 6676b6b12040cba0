#pragma once

#include <executorch/runtime/core/error.h>

#include <string>

#include "torchtrt_ws/api.h"

namespace torchtrt_ws {

/// Loads the adapter of an engine `kind` ("host" or "tensorrt") now, not when the first engine of that kind is loaded:
/// what is missing is known before a program is opened.
///
/// Returns NotSupported when there is no such adapter, it cannot be loaded here, or it was built for another version of
/// this library; see last_error() (last_error.h).
TORCHTRT_WS_API executorch::runtime::Error load_adapter(const std::string& kind);

/// Whether this library's delegate is the one ExecuTorch will use: Ok; RegistrationAlreadyRegistered when another
/// library (Torch-TensorRT's runtime, say) had registered the backend id before this one was loaded; else what
/// ExecuTorch's register_backend() returned (runtime/backend/interface.h).
TORCHTRT_WS_API executorch::runtime::Error registration_status();

}  // namespace torchtrt_ws
