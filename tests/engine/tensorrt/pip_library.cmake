# cmake -DBUILD=<build folder> -DPROGRAM=<acceptance tests> -DEMULATOR=<what runs it, or nothing> -DSTANDINS=<folder>
#       -DFOLDER=<scratch> -P pip_library.cmake
#
# Installs into a folder like site-packages, with TensorRT's libraries where pip puts them, and sees which are loaded when
# no environment variable names one: LD_LIBRARY_PATH's, then pip's. And no machine's folder is in what is installed.
file(REMOVE_RECURSE ${FOLDER})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${FOLDER} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(GLOB cuda ${STANDINS}/libcudart.so.*)
file(COPY ${cuda} DESTINATION ${FOLDER}/cuda)
file(GLOB rtx ${STANDINS}/libtensorrt_rtx.so.*)
file(GLOB nvinfer ${STANDINS}/libnvinfer.so.*)

file(STRINGS ${FOLDER}/torchtrt_ws/lib/libtorchtrt_ws_tensorrt.so runpath REGEX "[$]ORIGIN" LIMIT_COUNT 1)
string(REPLACE ":" ";" runpath "${runpath}")
foreach(folder IN LISTS runpath)
  if(NOT folder MATCHES "^[$]ORIGIN(/[.][.]/[.][.]/|$)")
    message(FATAL_ERROR "RUNPATH has ${folder}")
  endif()
endforeach()

function(expect_load product path wanted)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env --unset=TORCHTRT_WS_NVINFER --unset=TORCHTRT_WS_TENSORRT_RTX
            TORCHTRT_WS_TEST_PRODUCT=${product} LD_LIBRARY_PATH=${path}:${FOLDER}/torchtrt_ws/lib:${FOLDER}/cuda:$ENV{LD_LIBRARY_PATH}
            ${EMULATOR} ${PROGRAM} --gtest_brief=1 --gtest_filter=Load.ReleasesThePayloadBeforeTheContext
    RESULT_VARIABLE result OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(wanted AND NOT result EQUAL 0 OR NOT wanted AND result EQUAL 0 OR NOT said MATCHES "PASSED|FAILED")
    message(FATAL_ERROR "${product}, LD_LIBRARY_PATH '${path}': exit code ${result}\n${said}")
  endif()
endfunction()

foreach(product rtx tensorrt)
  if(product STREQUAL "rtx")
    set(package tensorrt_rtx_libs)
    set(library ${rtx})
  else()
    set(package tensorrt_libs)
    set(library ${nvinfer})
  endif()
  file(COPY ${library} DESTINATION ${FOLDER}/${package})
  expect_load(${product} "" TRUE)  # pip's
  get_filename_component(name ${library} NAME)
  file(WRITE ${FOLDER}/${package}/${name} "no library")
  expect_load(${product} "" FALSE)  # what is found first is taken, and nothing else
  expect_load(${product} "${STANDINS}" TRUE)  # LD_LIBRARY_PATH beats pip's
endforeach()
