# The pure core: budgets and blobs. It links nothing: an include of ExecuTorch, CUDA or torch in it fails the build.
#
#   torchtrt_ws_core          static and without state: each library and adapter has its own; include directories: this
#                             one and include/
#   TORCHTRT_WS_WARNINGS      our warnings, for target_compile_options(... PRIVATE ...)
#   TORCHTRT_WS_WERROR        make them errors (off for users: a newer compiler may know more warnings)
#   NLOHMANN_JSON_INCLUDE_DIR the folder that holds nlohmann/json.hpp; found by itself in the PyPI package nlohmann-json
#                             of Python_EXECUTABLE, or as a CMake package (Debian: nlohmann-json3-dev)

option(TORCHTRT_WS_WERROR "Warnings of this project are errors" OFF)

set(TORCHTRT_WS_WARNINGS -Wall -Wextra -Wconversion -Wshadow $<$<BOOL:${TORCHTRT_WS_WERROR}>:-Werror>)

if(NOT NLOHMANN_JSON_INCLUDE_DIR)
  if(NOT Python_EXECUTABLE)
    find_package(Python COMPONENTS Interpreter QUIET)
  endif()
  if(Python_EXECUTABLE)
    # Located, not imported: importing it needs importlib_resources, which a build has no use for.
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -c
              "import importlib.util as u; print(u.find_spec('nlohmann_json').submodule_search_locations[0], end='')"
      OUTPUT_VARIABLE _torchtrt_ws_json ERROR_QUIET)
    if(EXISTS "${_torchtrt_ws_json}/include/nlohmann/json.hpp")
      set(NLOHMANN_JSON_INCLUDE_DIR "${_torchtrt_ws_json}/include")
    endif()
  endif()
endif()
if(NOT NLOHMANN_JSON_INCLUDE_DIR)
  find_package(nlohmann_json 3.11 CONFIG QUIET)
  if(nlohmann_json_FOUND)
    get_target_property(NLOHMANN_JSON_INCLUDE_DIR nlohmann_json::nlohmann_json INTERFACE_INCLUDE_DIRECTORIES)
  endif()
endif()
if(NOT NLOHMANN_JSON_INCLUDE_DIR)
  message(FATAL_ERROR "torchtrt-ws: found no nlohmann/json.hpp; expected version 3.11 or later. Run "
                      "`pip install nlohmann-json==3.12.0`, or pass -DNLOHMANN_JSON_INCLUDE_DIR=<folder>.")
endif()
message(STATUS "torchtrt-ws: nlohmann/json in ${NLOHMANN_JSON_INCLUDE_DIR}")

add_library(torchtrt_ws_core STATIC
  ${CMAKE_CURRENT_LIST_DIR}/base/copy_mapped.cpp
  ${CMAKE_CURRENT_LIST_DIR}/base/file_mapping.cpp
  ${CMAKE_CURRENT_LIST_DIR}/base/file_region.cpp
  ${CMAKE_CURRENT_LIST_DIR}/base/huge_pages.cpp
  ${CMAKE_CURRENT_LIST_DIR}/base/pieces.cpp
  ${CMAKE_CURRENT_LIST_DIR}/base/quote.cpp
  ${CMAKE_CURRENT_LIST_DIR}/base/result.cpp
  ${CMAKE_CURRENT_LIST_DIR}/blob/as_variant.cpp
  ${CMAKE_CURRENT_LIST_DIR}/blob/blob.cpp
  ${CMAKE_CURRENT_LIST_DIR}/blob/fields.cpp
  ${CMAKE_CURRENT_LIST_DIR}/blob/header.cpp
  ${CMAKE_CURRENT_LIST_DIR}/blob/json.cpp
  ${CMAKE_CURRENT_LIST_DIR}/blob/metadata.cpp
  ${CMAKE_CURRENT_LIST_DIR}/blob/variant_facts.cpp
  ${CMAKE_CURRENT_LIST_DIR}/blob/verification.cpp
  ${CMAKE_CURRENT_LIST_DIR}/blob/weight_facts.cpp
  ${CMAKE_CURRENT_LIST_DIR}/budget/decimal.cpp
  ${CMAKE_CURRENT_LIST_DIR}/budget/headroom_look.cpp
  ${CMAKE_CURRENT_LIST_DIR}/budget/ladder.cpp
  ${CMAKE_CURRENT_LIST_DIR}/budget/memory_plan.cpp
  ${CMAKE_CURRENT_LIST_DIR}/budget/request.cpp
  ${CMAKE_CURRENT_LIST_DIR}/budget/resolve.cpp
  ${CMAKE_CURRENT_LIST_DIR}/budget/room_plan.cpp
  ${CMAKE_CURRENT_LIST_DIR}/budget/written.cpp
  ${CMAKE_CURRENT_LIST_DIR}/cache/cache_folder.cpp
  ${CMAKE_CURRENT_LIST_DIR}/cache/cache_key.cpp
  ${CMAKE_CURRENT_LIST_DIR}/cache/new_file.cpp
  ${CMAKE_CURRENT_LIST_DIR}/cache/refit_cache_file.cpp
  ${CMAKE_CURRENT_LIST_DIR}/cache/runtime_cache_file.cpp
  ${CMAKE_CURRENT_LIST_DIR}/digest/crc32c.cpp
  ${CMAKE_CURRENT_LIST_DIR}/digest/scattered_crc32c.cpp
  ${CMAKE_CURRENT_LIST_DIR}/digest/sha256.cpp
  ${CMAKE_CURRENT_LIST_DIR}/engine/weights.cpp
  ${CMAKE_CURRENT_LIST_DIR}/program/flatbuffer.cpp
  ${CMAKE_CURRENT_LIST_DIR}/program/program_file.cpp)
target_compile_features(torchtrt_ws_core PUBLIC cxx_std_17)
find_package(Threads REQUIRED)
target_link_libraries(torchtrt_ws_core PUBLIC Threads::Threads)
target_include_directories(torchtrt_ws_core PUBLIC ${CMAKE_CURRENT_LIST_DIR} ${CMAKE_CURRENT_LIST_DIR}/include)
target_include_directories(torchtrt_ws_core SYSTEM PRIVATE ${NLOHMANN_JSON_INCLUDE_DIR})
target_compile_options(torchtrt_ws_core PRIVATE ${TORCHTRT_WS_WARNINGS})
set_target_properties(torchtrt_ws_core PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF
  CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
