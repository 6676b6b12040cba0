#include <map>
#include <string>

#include "call.h"
#include "standin_stream.h"

using standin::call;
using standin::give_back_call;

namespace {

struct Event {
  int device;
  standin::Mark mark;
};

std::map<cudaEvent_t, std::unique_ptr<Event>>& events() {
  static auto* events = new std::map<cudaEvent_t, std::unique_ptr<Event>>;
  return *events;
}

Event* find_event(cudaEvent_t handle, const char* who) {
  auto found = events().find(handle);
  if (found != events().end()) return found->second.get();
  standin::misuse(std::string(who) + ": an event that is destroyed or was never made");
  return nullptr;
}

cudaError_t make_stream(cudaStream_t* stream, unsigned int flags) {
  if (stream == nullptr || (flags & ~static_cast<unsigned int>(cudaStreamNonBlocking)) != 0) {
    return cudaErrorInvalidValue;
  }
  *stream = standin::add_stream((flags & cudaStreamNonBlocking) == 0);
  return cudaSuccess;
}

cudaError_t make_event(cudaEvent_t* event) {
  if (event == nullptr) return cudaErrorInvalidValue;
  auto made = std::make_unique<Event>();
  made->device = standin::current_device();
  *event = reinterpret_cast<cudaEvent_t>(made.get());
  events().emplace(*event, std::move(made));
  standin::count_live("event", 1);
  return cudaSuccess;
}

cudaError_t record(cudaEvent_t event, cudaStream_t handle) {
  auto stream = standin::find_stream(handle, "cudaEventRecord");
  Event* found = find_event(event, "cudaEventRecord");
  if (stream == nullptr || found == nullptr) return cudaErrorInvalidResourceHandle;
  if (stream->device != found->device) {
    standin::misuse("cudaEventRecord: event and stream of different devices");
    return cudaErrorInvalidResourceHandle;
  }
  if (stream->capture != nullptr) {  // forks of a capture are not modelled
    stream->capture->invalid = true;
    return cudaErrorNotSupported;
  }
  found->mark = standin::mark(stream);
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return call("cudaStreamCreate", [=] { return make_stream(stream, cudaStreamDefault); }, cudaErrorMemoryAllocation);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int flags) {
  return call("cudaStreamCreateWithFlags", [=] { return make_stream(stream, flags); }, cudaErrorMemoryAllocation);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned int flags, int) {
  return call("cudaStreamCreateWithPriority", [=] { return make_stream(stream, flags); }, cudaErrorMemoryAllocation);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return give_back_call("cudaStreamDestroy",
                        [=] { return standin::remove_stream(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle; });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return give_back_call("cudaStreamSynchronize", [=] {
    auto stream = standin::find_stream(handle, "cudaStreamSynchronize");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr) {
      stream->capture->invalid = true;
      return cudaErrorStreamCaptureUnsupported;
    }
    standin::drain(*stream);
    if (stream->legacy) standin::give_back_released(stream->device);
    return standin::take_async_error(stream->device);
  });
}

// Work goes on while one asks: the first answer is "not ready", the next one "done".
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return call("cudaStreamQuery", [=] {
    auto stream = standin::find_stream(handle, "cudaStreamQuery");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr) {
      stream->capture->invalid = true;
      return cudaErrorStreamCaptureUnsupported;
    }
    if (stream->pending.empty()) return standin::take_async_error(stream->device);
    standin::drain(*stream);
    return cudaErrorNotReady;
  });
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int* device) {
  return call("cudaStreamGetDevice", [=] {
    auto stream = standin::find_stream(handle, "cudaStreamGetDevice");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    *device = stream->device;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned int* flags) {
  return call("cudaStreamGetFlags", [=] {
    auto stream = standin::find_stream(handle, "cudaStreamGetFlags");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    *flags = stream->blocking ? cudaStreamDefault : cudaStreamNonBlocking;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned int) {
  return call("cudaStreamWaitEvent", [=] {
    auto stream = standin::find_stream(handle, "cudaStreamWaitEvent");
    Event* found = find_event(event, "cudaStreamWaitEvent");
    if (stream == nullptr || found == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr) {
      stream->capture->invalid = true;
      return cudaErrorStreamCaptureIsolation;
    }
    return standin::enqueue(*stream, [mark = found->mark] {
      standin::drain(mark);
      return cudaSuccess;
    });
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  return call("cudaLaunchHostFunc", [=] {
    auto stream = standin::find_stream(handle, "cudaLaunchHostFunc");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    return standin::enqueue(*stream, [=] {
      function(data);
      return cudaSuccess;
    });
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return call("cudaEventCreate", [=] { return make_event(event); }, cudaErrorMemoryAllocation);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int) {
  return call("cudaEventCreateWithFlags", [=] { return make_event(event); }, cudaErrorMemoryAllocation);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return give_back_call("cudaEventDestroy", [=] {
    if (find_event(event, "cudaEventDestroy") == nullptr) return cudaErrorInvalidResourceHandle;
    events().erase(event);
    standin::count_live("event", -1);
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call("cudaEventRecord", [=] { return record(event, stream); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return give_back_call("cudaEventSynchronize", [=] {
    Event* found = find_event(event, "cudaEventSynchronize");
    if (found == nullptr) return cudaErrorInvalidResourceHandle;
    if (cudaError_t error = standin::check_unsafe_call(); error != cudaSuccess) return error;
    standin::drain(found->mark);
    return standin::take_async_error(found->device);
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call("cudaEventQuery", [=] {
    Event* found = find_event(event, "cudaEventQuery");
    if (found == nullptr) return cudaErrorInvalidResourceHandle;
    if (cudaError_t error = standin::check_unsafe_call(); error != cudaSuccess) return error;
    if (standin::is_done(found->mark)) return standin::take_async_error(found->device);
    standin::drain(found->mark);
    return cudaErrorNotReady;
  });
}

// Always 0 ms: the stand-in has no clock.
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  return call("cudaEventElapsedTime", [=] {
    if (find_event(start, "cudaEventElapsedTime") == nullptr || find_event(end, "cudaEventElapsedTime") == nullptr) {
      return cudaErrorInvalidResourceHandle;
    }
    *ms = 0;
    return cudaSuccess;
  });
}
