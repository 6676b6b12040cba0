# Finds TensorRT's headers for the adapter, and says which runtimes it can then drive. The first of
#
#   1. TENSORRT_INCLUDE_DIR (CMake), the folder that holds NvInferRuntime.h
#   2. TENSORRT_ROOT (CMake), or TENSORRT_ROOT, TENSORRT_HOME, TRT_ROOT (environment): a TensorRT or TensorRT-RTX SDK
#   3. where SDKs and system packages put them: TENSORRT_PLACES
#   4. TensorRT 11's from NVIDIA's public repository, by FetchContent. FETCHCONTENT_SOURCE_DIR_TENSORRT=<clone of it> or
#      FETCHCONTENT_FULLY_DISCONNECTED=ON: nothing is downloaded. TENSORRT_HEADERS_URL: another place that has them
#   5. TensorRT 10's in the PyPI package kernel-lens: the installed one, else pip downloads it (0.2 MB, no dependencies)
#
# Sets TENSORRT_INCLUDE_DIR, and with 2 and 3 TENSORRT_LIBRARY where the SDK has it; TENSORRT_DRIVES says which runtimes.
include(FetchContent)
include("${CMAKE_CURRENT_LIST_DIR}/python_package.cmake")

set(TENSORRT_PLACES
    /opt/tensorrt* /opt/TensorRT* /opt/nvidia/tensorrt* /opt/nvidia/TensorRT* /usr/local/tensorrt* /usr/local/TensorRT*
    /usr/src/tensorrt /usr/local /usr
    CACHE STRING "Where TensorRT may lie: globs")
set(TENSORRT_HEADERS_URL https://raw.githubusercontent.com/NVIDIA/TensorRT/v11.1/include
    CACHE STRING "The folder of TensorRT 11.1's headers")
mark_as_advanced(TENSORRT_PLACES TENSORRT_HEADERS_URL)

set(_torchtrt_ws_suffixes include include/x86_64-linux-gnu include/aarch64-linux-gnu targets/x86_64-linux-gnu/include
    targets/aarch64-linux-gnu/include)

# What pip has. Its own environment is asked too: a build environment has no pip that could be run.
function(_torchtrt_ws_pip_headers out)
  torchtrt_ws_python_package(kernel_lens include/tensorrt _found)
  set(_pin kernel-lens==2.0.1)
  set(_to "${CMAKE_BINARY_DIR}/_deps/kernel_lens")
  if(NOT _found AND EXISTS "${_to}/kernel_lens/include/tensorrt/NvInferRuntime.h")
    set(_found "${_to}/kernel_lens/include/tensorrt")
  endif()
  if(NOT _found AND Python_EXECUTABLE AND NOT FETCHCONTENT_FULLY_DISCONNECTED)
    file(WRITE "${_to}/requirements.txt"
         "${_pin} --hash=sha256:07cc714e8b5e7f34b672f7c7fad93febe7c747be5837ba276b1527370134ffe0\n")
    foreach(_isolated "" -I)
      execute_process(
        COMMAND "${Python_EXECUTABLE}" ${_isolated} -m pip download --quiet --no-deps --only-binary :all: --require-hashes
                --dest "${_to}" --requirement "${_to}/requirements.txt"
        RESULT_VARIABLE _code ERROR_VARIABLE _words OUTPUT_QUIET)
      if(_code EQUAL 0)
        break()
      endif()
    endforeach()
    file(GLOB _wheel "${_to}/kernel_lens-*.whl")
    if(_wheel)
      file(ARCHIVE_EXTRACT INPUT "${_wheel}" DESTINATION "${_to}" PATTERNS "kernel_lens/include/tensorrt/*")
      set(_found "${_to}/kernel_lens/include/tensorrt")
    else()
      string(REGEX REPLACE "\n.*" "" _words "${_words}")
      message(STATUS "torchtrt-ws: pip did not download ${_pin}: ${_words}")
    endif()
  endif()
  set(${out} "${_found}" PARENT_SCOPE)
endfunction()

# FetchContent ends a configuration that cannot download, hence a step that always ends well.
function(_torchtrt_ws_published_headers out)
  set(${out} "" PARENT_SCOPE)
  FetchContent_Declare(tensorrt
    SOURCE_SUBDIR include  # has no CMakeLists.txt: a clone is not built along
    DOWNLOAD_COMMAND "${CMAKE_COMMAND}" "-DBASE=${TENSORRT_HEADERS_URL}" "-DTO=<SOURCE_DIR>"
                     -P "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/download_headers.cmake")
  FetchContent_MakeAvailable(tensorrt)
  if(EXISTS "${tensorrt_SOURCE_DIR}/include/NvInferRuntime.h")
    set(${out} "${tensorrt_SOURCE_DIR}/include" PARENT_SCOPE)
    return()
  endif()
  set(_words "no NvInferRuntime.h in ${tensorrt_SOURCE_DIR}/include")
  if(EXISTS "${tensorrt_SOURCE_DIR}/failed.txt")
    file(READ "${tensorrt_SOURCE_DIR}/failed.txt" _words)
    file(REMOVE_RECURSE "${FETCHCONTENT_BASE_DIR}/tensorrt-subbuild")  # or the next configuration would not try again
  endif()
  message(STATUS "torchtrt-ws: no headers of TensorRT 11 from NVIDIA's repository: ${_words}")
endfunction()

# What headers an adapter was compiled with decides what it can load: accepted() in library.cpp, whose rules these are.
function(_torchtrt_ws_what_they_drive folder out)
  file(STRINGS "${folder}/NvInferVersion.h" _lines REGEX "#define (TRT|NV_TENSORRT)_(MAJOR|MINOR)")
  string(REGEX MATCH "_MAJOR[A-Z_]* ([0-9]+)" _ "${_lines}")
  set(_major "${CMAKE_MATCH_1}")
  string(REGEX MATCH "_MINOR[A-Z_]* ([0-9]+)" _ "${_lines}")
  set(_minor "${CMAKE_MATCH_1}")
  if(NOT _major)
    set(_text "headers of an unknown version")
  elseif(_major LESS 8 AND _minor LESS 5)
    set(_text "TensorRT-RTX ${_major}.${_minor} headers; runs TensorRT-RTX 1.4, no TensorRT")
  elseif(_major LESS 8)
    set(_text "TensorRT-RTX ${_major}.${_minor} headers; runs TensorRT-RTX 1.5 and later, no TensorRT")
  elseif(_major EQUAL 10)
    set(_text "TensorRT 10.${_minor} headers; runs TensorRT 10.7 and later 10, TensorRT-RTX 1.4; not TensorRT-RTX 1.5 and later")
  elseif(_major EQUAL 11)
    set(_text "TensorRT 11.${_minor} headers; runs TensorRT 11, TensorRT-RTX 1.5 and later; not TensorRT 10")
  else()
    set(_text "TensorRT ${_major}.${_minor} headers; runs TensorRT ${_major}")
  endif()
  set(${out} "${_text}" PARENT_SCOPE)
endfunction()

set(_torchtrt_ws_source "")
if(NOT TENSORRT_INCLUDE_DIR)
  set(_root "${TENSORRT_ROOT}")
  foreach(_variable TENSORRT_ROOT TENSORRT_HOME TRT_ROOT)
    if(NOT _root AND DEFINED ENV{${_variable}})
      set(_root "$ENV{${_variable}}")
    endif()
  endforeach()
  if(_root)
    set(_places "${_root}")
    set(_torchtrt_ws_source ", of the SDK that was given")
  else()
    file(GLOB _places LIST_DIRECTORIES true ${TENSORRT_PLACES})
    list(SORT _places COMPARE NATURAL ORDER DESCENDING)  # of TensorRT-10.14 and TensorRT-11.1 the newer one
    set(_torchtrt_ws_source ", found on this machine")
  endif()
  find_path(TENSORRT_INCLUDE_DIR NvInferRuntime.h PATHS ${_places} PATH_SUFFIXES ${_torchtrt_ws_suffixes} NO_DEFAULT_PATH)
  # The loader finds what lies in the system's folders.
  if(TENSORRT_INCLUDE_DIR AND NOT TENSORRT_INCLUDE_DIR MATCHES "^/usr/(local/)?include")
    string(REGEX REPLACE "/(targets/[^/]*/)?include(/[^/]*)?$" "" _sdk "${TENSORRT_INCLUDE_DIR}")
    find_library(TENSORRT_LIBRARY NAMES nvinfer tensorrt_rtx PATHS "${_sdk}"
                 PATH_SUFFIXES lib lib64 targets/${CMAKE_SYSTEM_PROCESSOR}-linux-gnu/lib NO_DEFAULT_PATH)
  endif()
  if(NOT TENSORRT_INCLUDE_DIR AND NOT _root)  # a root that was given and is wrong must not be passed over
    _torchtrt_ws_published_headers(_headers)
    set(_torchtrt_ws_source ", from NVIDIA's repository")
    if(NOT _headers)
      _torchtrt_ws_pip_headers(_headers)
      set(_torchtrt_ws_source ", of the PyPI package kernel-lens")
    endif()
    if(_headers)
      set(TENSORRT_INCLUDE_DIR "${_headers}" CACHE PATH "The folder that holds NvInferRuntime.h" FORCE)
    endif()
  endif()
endif()
mark_as_advanced(TENSORRT_INCLUDE_DIR TENSORRT_LIBRARY)

set(TENSORRT_DRIVES "")
if(TENSORRT_INCLUDE_DIR AND EXISTS "${TENSORRT_INCLUDE_DIR}/NvInferVersion.h")
  _torchtrt_ws_what_they_drive("${TENSORRT_INCLUDE_DIR}" TENSORRT_DRIVES)
  message(STATUS "torchtrt-ws: TensorRT adapter: ${TENSORRT_DRIVES} (${TENSORRT_INCLUDE_DIR}${_torchtrt_ws_source})")
endif()
