# Fails if LIBRARY exports other functions of ours than those of the public headers and, for adapters, of cpp/engine.
# Vtables and typeinfo of the Engine port's classes are exported on purpose (cpp/engine/engine.h).
set(torchtrt_ws
  CallerStreamGuard::CallerStreamGuard CallerStreamGuard::~CallerStreamGuard CheckReport::ok Follower::Follower Follower::~Follower
  LoadScope::LoadScope LoadScope::~LoadScope TracingScope::TracingScope TracingScope::~TracingScope
  WithoutPythonLock::release WithoutPythonLock::take_back WithoutPythonLock::~WithoutPythonLock
  automatic_budget check clear_last_error engine engines follow give_back headroom last_error last_event load_adapter make_room
  refit refittable_weights registration_status reset_state restore_budgets save_budgets set_budget set_budgets set_defaults set_headroom set_priority set_steps
  sleep survey verdict_name wake
  caller_stream fact_of find_engine_kind holds_python_lock is_traced log_error log_info note_event note_stage provide_device_memory register_adapter_survey register_engine_kind
  register_engine_probe register_surroundings)
set(torchtrt_ws_host "")
set(torchtrt_ws_tensorrt "")

execute_process(COMMAND ${NM} --dynamic --defined-only --demangle ${LIBRARY}
                OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[A-Za-z] torchtrt_ws::[^\n]*" symbols "${symbols}")
set(exported "")
foreach(symbol ${symbols})
  string(REGEX REPLACE "^[A-Za-z] torchtrt_ws::([A-Za-z_:~]*).*" "\\1" name "${symbol}")
  if(NOT name MATCHES "^(DeviceMemory|Engine|OutputSink|WeightsSource)(::~.*)?$")
    list(APPEND exported "${name}")
  endif()
endforeach()
list(REMOVE_DUPLICATES exported)
list(SORT exported)
list(SORT ${NAME})
if(NOT "${exported}" STREQUAL "${${NAME}}")
  message(FATAL_ERROR "${LIBRARY} exports\n  ${exported}\nexpected\n  ${${NAME}}")
endif()
