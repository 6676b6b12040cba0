# The CMake package of torchtrt-ws.
#
#   find_package(torchtrt_ws 0.1 CONFIG REQUIRED)    # brings executorch; needs no CUDA and no TensorRT
#   target_link_libraries(app PRIVATE torchtrt_ws::delegate executorch::kernels_optimized)
#
# Targets:
#   torchtrt_ws::delegate   the ExecuTorch backend; finds its adapters at run time, beside itself
#   torchtrt_ws::host       the host engine, where it shall be linked
#   torchtrt_ws::tensorrt   the TensorRT adapter, where it shall be linked; only if this package was built with it
#
# Point CMAKE_PREFIX_PATH at the output of `python -m torchtrt_ws --cmake-prefix-path`.
cmake_minimum_required(VERSION 3.28)  # executorch's imported targets need it
include(CMakeFindDependencyMacro)
find_dependency(executorch 1.5.1 CONFIG)

get_filename_component(_torchtrt_ws_root "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

function(_torchtrt_ws_add name file)
  set(_library "${_torchtrt_ws_root}/lib/${file}")
  if(TARGET torchtrt_ws::${name} OR NOT EXISTS "${_library}")
    return()
  endif()
  add_library(torchtrt_ws::${name} SHARED IMPORTED)
  set_target_properties(torchtrt_ws::${name} PROPERTIES
    IMPORTED_LOCATION "${_library}"
    IMPORTED_SONAME "${file}"
    INTERFACE_INCLUDE_DIRECTORIES "${_torchtrt_ws_root}/include"
    INTERFACE_COMPILE_FEATURES cxx_std_17
    # It registers itself when loaded; nothing refers to its symbols.
    INTERFACE_LINK_OPTIONS "LINKER:--no-as-needed"
    INTERFACE_LINK_LIBRARIES "${ARGN}")
endfunction()

# The library's file name is its soname, with the version of the package. CMake names its variables as the caller wrote
# the package: find_package(TorchTRT_WS) comes here too.
set(_torchtrt_ws_name "${CMAKE_FIND_PACKAGE_NAME}")
set(_torchtrt_ws_delegate
    "libtorchtrt_ws.so.${${_torchtrt_ws_name}_VERSION_MAJOR}.${${_torchtrt_ws_name}_VERSION_MINOR}")
_torchtrt_ws_add(delegate "${_torchtrt_ws_delegate}" executorch::runtime)
_torchtrt_ws_add(host libtorchtrt_ws_host.so "torchtrt_ws::delegate;executorch::backend_xnnpack")
_torchtrt_ws_add(tensorrt libtorchtrt_ws_tensorrt.so torchtrt_ws::delegate)

if(NOT TARGET torchtrt_ws::delegate)
  set(${_torchtrt_ws_name}_FOUND FALSE)
  set(${_torchtrt_ws_name}_NOT_FOUND_MESSAGE "no ${_torchtrt_ws_delegate} in ${_torchtrt_ws_root}/lib; reinstall torchtrt-ws")
endif()
