# -DCMAKE_PROJECT_torchtrt_ws_INCLUDE=<this file>: headers that most files have in common, compiled once for each library.
# Only for tests/wheel, which compiles all of C++ to look at what comes out. That each file includes what it needs is what
# `make dev` shows.
function(torchtrt_ws_precompile_headers)
  set(common <algorithm> <functional> <map> <memory> <mutex> <optional> <string> <unordered_map> <vector>
             <executorch/runtime/backend/interface.h>)
  target_precompile_headers(torchtrt_ws PRIVATE ${common} <chrono> <executorch/runtime/core/exec_aten/util/tensor_util.h>)
  target_precompile_headers(torchtrt_ws_host PRIVATE ${common} <executorch/runtime/executor/program.h>)
  target_precompile_headers(torchtrt_ws_tensorrt PRIVATE ${common} <cuda_runtime_api.h> <NvInferRuntime.h>)
endfunction()
cmake_language(DEFER CALL torchtrt_ws_precompile_headers)
