# torchtrt_ws_python_package(NAME FOLDER OUT): the folder FOLDER of a Python package, or "". Located, never imported; a
# namespace package ("nvidia") has several places, in a build environment and in the one below it.
function(torchtrt_ws_python_package name folder out)
  set(${out} "" PARENT_SCOPE)
  if(NOT Python_EXECUTABLE)
    return()
  endif()
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "
import importlib.util as u, os
places = u.find_spec('${name}').submodule_search_locations
print(next(p for p in (os.path.join(place, '${folder}') for place in places) if os.path.isdir(p)), end='')"
    OUTPUT_VARIABLE _found ERROR_QUIET)
  set(${out} "${_found}" PARENT_SCOPE)
endfunction()
