#include "standin_stream.h"

#include <map>
#include <string>
#include <utility>

#include "ledger.h"
#include "memory.h"

namespace standin {
namespace {

constexpr size_t kLongestQueue = 4096;  // work; a real device would long have begun

struct Streams {
  std::map<cudaStream_t, std::shared_ptr<Stream>> user;
  std::shared_ptr<Stream> legacy[kMaxDevices];
  cudaError_t async_error[kMaxDevices] = {};
};

Streams& streams() {
  static auto* streams = new Streams;
  return *streams;
}

std::shared_ptr<Stream> make_stream(bool legacy, bool blocking) {
  auto stream = std::make_shared<Stream>();
  stream->device = current_device();
  stream->legacy = legacy;
  stream->blocking = blocking;
  return stream;
}

std::shared_ptr<Stream> legacy_stream(int device) {
  std::shared_ptr<Stream>& stream = streams().legacy[device];
  if (stream == nullptr) {
    stream = make_stream(true, true);
    stream->device = device;
  }
  return stream;
}

std::shared_ptr<Stream> per_thread_stream() {
  thread_local std::map<int, std::shared_ptr<Stream>> of_thread;
  std::shared_ptr<Stream>& stream = of_thread[current_device()];
  if (stream == nullptr) {
    stream = make_stream(false, true);
    streams().user.emplace(reinterpret_cast<cudaStream_t>(stream.get()), stream);
  }
  return stream;
}

void do_next(Stream& stream) {
  Work work = std::move(stream.pending.front());
  stream.pending.pop_front();
  cudaError_t error = work();
  ++stream.done;
  cudaError_t& kept = streams().async_error[stream.device];
  if (kept == cudaSuccess) kept = error;
}

// The legacy stream waits for all blocking streams of its device, and they for it.
std::vector<Mark> waits_of(const Stream& stream) {
  std::vector<Mark> waits;
  if (stream.legacy) {
    for (const auto& [handle, other] : streams().user) {
      if (other->device == stream.device && other->blocking && !other->pending.empty()) waits.push_back(mark(other));
    }
  } else if (stream.blocking) {
    auto legacy = legacy_stream(stream.device);
    if (!legacy->pending.empty()) waits.push_back(mark(legacy));
  }
  return waits;
}

}  // namespace

std::shared_ptr<Stream> find_stream(cudaStream_t handle, const char* who) {
  if (handle == nullptr || handle == cudaStreamLegacy) return legacy_stream(current_device());
  if (handle == cudaStreamPerThread) return per_thread_stream();
  auto found = streams().user.find(handle);
  if (found != streams().user.end()) return found->second;
  misuse(std::string(who) + ": a stream that is destroyed or was never made");
  return nullptr;
}

cudaStream_t add_stream(bool blocking) {
  auto stream = make_stream(false, blocking);
  auto handle = reinterpret_cast<cudaStream_t>(stream.get());
  streams().user.emplace(handle, std::move(stream));
  count_live("stream", 1);
  return handle;
}

bool remove_stream(cudaStream_t handle) {
  auto found = streams().user.find(handle);
  if (found == streams().user.end()) {
    misuse("cudaStreamDestroy: a stream that is destroyed or was never made");
    return false;
  }
  drain(*found->second);
  streams().user.erase(found);
  count_live("stream", -1);
  return true;
}

cudaError_t enqueue(Stream& stream, Work work) {
  if (stream.capture != nullptr) {
    if (stream.capture->invalid) return cudaErrorStreamCaptureInvalidated;
    stream.capture->work.push_back(std::move(work));
    return cudaSuccess;
  }
  if (stream.legacy) {
    bool implicit = false;
    for (const auto& [handle, other] : streams().user) {
      if (other->device != stream.device || !other->blocking || other->capture == nullptr) continue;
      other->capture->invalid = true;
      implicit = true;
    }
    if (implicit) return cudaErrorStreamCaptureImplicit;
  }
  auto waits = waits_of(stream);
  stream.pending.push_back([waits = std::move(waits), work = std::move(work)] {
    for (const Mark& wait : waits) drain(wait);
    return work();
  });
  ++stream.issued;
  if (stream.pending.size() > kLongestQueue) do_next(stream);
  return cudaSuccess;
}

Mark mark(const std::shared_ptr<Stream>& stream) { return Mark{stream, stream->issued}; }

bool is_done(const Mark& mark) {
  auto stream = mark.stream.lock();
  return stream == nullptr || stream->done >= mark.ticket;
}

void drain(const Mark& mark) {
  auto stream = mark.stream.lock();
  while (stream != nullptr && !stream->pending.empty() && stream->done < mark.ticket) do_next(*stream);
}

void drain(Stream& stream) {
  while (!stream.pending.empty()) do_next(stream);
}

void drain_device(int device) {
  auto all = streams().user;  // a copy: work may make streams
  for (const auto& [handle, stream] : all) {
    if (stream->device == device) drain(*stream);
  }
  drain(*legacy_stream(device));
}

cudaError_t take_async_error(int device) { return std::exchange(streams().async_error[device], cudaSuccess); }

cudaStreamCaptureMode& thread_capture_mode() {
  thread_local cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  return mode;
}

cudaError_t check_unsafe_call() {
  cudaStreamCaptureMode mode = thread_capture_mode();
  if (mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  bool forbidden = false;
  for (const auto& [handle, stream] : streams().user) {
    if (stream->capture == nullptr || stream->capture->mode == cudaStreamCaptureModeRelaxed) continue;
    bool ours = stream->capture->thread == std::this_thread::get_id();
    bool anyones = mode == cudaStreamCaptureModeGlobal && stream->capture->mode == cudaStreamCaptureModeGlobal;
    if (!ours && !anyones) continue;
    stream->capture->invalid = true;
    forbidden = true;
  }
  return forbidden ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

bool invalidate_captures(int device) {
  bool any = false;
  for (const auto& [handle, stream] : streams().user) {
    if (stream->device != device || stream->capture == nullptr) continue;
    stream->capture->invalid = true;
    any = true;
  }
  return any;
}

}  // namespace standin
