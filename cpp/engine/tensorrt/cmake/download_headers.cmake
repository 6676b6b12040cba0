# TensorRT 11's headers, as NVIDIA publishes them under the Apache License 2.0: what FetchContent runs for "tensorrt".
#
#   cmake -DBASE=<URL of the folder> -DTO=<folder> -P download_headers.cmake
#
# One file at a time: the repository's archive is many times their size, and only these have a digest that stays. Always
# ends well: what went wrong is in <folder>/failed.txt, and the caller has another place to look at.
cmake_minimum_required(VERSION 3.28)

set(_headers  # of tag v11.1: name and SHA-256
  NvInfer.h b857831d9c79e9b04e83b65d58a512533ee363f91dbcaec77cba9c7746e8e8b3
  NvInferImpl.h c6acddec7e286c18e9cd08511553c2015f99c487ca25717790e54e30c18ade79
  NvInferLegacyDims.h 3e10fe5b85545f2e956e6935271badf0b1c72553b698000a61d46d69c5d53030
  NvInferPlugin.h b3290404a076f3492dc627ffdfc3b1fa803ea0eccc49f23986d645a2d23a63c7
  NvInferPluginBase.h 759f354754e64bf4d1e68d7df796c155c46f8a27541bf1912ba13e79a5a26fc2
  NvInferPluginUtils.h 106692e986b690fd2b3c26f8dab5caa8027b4d3cca6ce6006c5351392f1bded4
  NvInferRuntime.h e78c2d49516a66f726864904386534f63eacf0ad75a6dfdde7dfa70adf39f797
  NvInferRuntimeBase.h ec38759dbf8a5538c4cd30890f1764658bc2dcec87e95ac18148e476cbe1671b
  NvInferRuntimeCommon.h eff4c0251cb4813bbc7fe34c6b28fdb6c08734c27ae53b07974d2557bf1431be
  NvInferRuntimePlugin.h d4db4236da9c03e543949247a75478b5ce68fc84eb30cd15b35081b94c8d8391
  NvInferVersion.h 8648df4851fb2df1a15d7dfdae6454428c4b119055f65f6a98de8ff806977b2e)

file(REMOVE_RECURSE "${TO}")
if(DEFINED TENSORRT_HEADERS)  # others, for a test
  set(_headers ${TENSORRT_HEADERS})
endif()
set(_rest ${_headers})
while(_rest)
  list(POP_FRONT _rest _name _wanted)
  set(_file "${TO}/include/${_name}")
  file(DOWNLOAD "${BASE}/${_name}" "${_file}" STATUS _status TIMEOUT 60)
  list(POP_FRONT _status _code _words)
  if(_code EQUAL 0)
    file(SHA256 "${_file}" _found)
    if(NOT _found STREQUAL _wanted)
      set(_code 1)
      set(_words "SHA-256 ${_found}, expected ${_wanted}")
    endif()
  endif()
  if(NOT _code EQUAL 0)
    file(REMOVE_RECURSE "${TO}/include")
    file(WRITE "${TO}/failed.txt" "${BASE}/${_name}: ${_words}")
    return()
  endif()
endwhile()
