# -DCMAKE_PROJECT_torchtrt_ws_INCLUDE=<this file>: what most files of a target include is compiled once for each target.
# For builds that nobody's ccache has: the sanitizers' and the wheel's test. That each file includes what it needs is what
# `make dev` shows.
function(torchtrt_ws_precompile)
  set(common <algorithm> <cstdint> <functional> <map> <memory> <mutex> <optional> <string> <string_view> <utility> <vector>)
  set(engine ${common} <executorch/runtime/backend/interface.h>)
  set(tensorrt <NvInferRuntime.h>)
  set(tests ${common} <gtest/gtest.h>)

  set(torchtrt_ws_core ${common})
  set(torchtrt_ws ${engine})
  set(torchtrt_ws_host ${engine})
  set(torchtrt_ws_tensorrt ${engine} ${tensorrt} <cuda_runtime_api.h>)
  set(_native ${engine} <nanobind/nanobind.h>)
  set(torchtrt_ws_core_tests ${tests})
  set(torchtrt_ws_delegate_tests ${tests} <executorch/runtime/backend/interface.h>)
  set(torchtrt_ws_handle_test ${torchtrt_ws_delegate_tests})
  set(torchtrt_ws_tensorrt_standin ${tests} <executorch/extension/module/module.h>)
  set(torchtrt_ws_tensorrt_acceptance ${torchtrt_ws_tensorrt_standin})
  set(standin_nvinfer ${common} ${tensorrt})
  set(standin_tensorrt_rtx ${common} ${tensorrt})
  foreach(target torchtrt_ws_core torchtrt_ws torchtrt_ws_host torchtrt_ws_tensorrt _native torchtrt_ws_core_tests
                 torchtrt_ws_delegate_tests torchtrt_ws_handle_test torchtrt_ws_tensorrt_standin
                 torchtrt_ws_tensorrt_acceptance standin_nvinfer standin_tensorrt_rtx)
    if(TARGET ${target})
      target_precompile_headers(${target} PRIVATE ${${target}})
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL torchtrt_ws_precompile)
