#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

// Streams put work off until someone waits for it: a caller that forgets to wait sees old bytes, and one that reuses a
// buffer too early sees wrong ones, always instead of sometimes.
namespace standin {

using Work = std::function<cudaError_t()>;

struct Capture {
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  std::vector<Work> work;
  bool invalid = false;
};

struct Stream {
  int device;
  bool legacy;    // the default stream
  bool blocking;  // ordered with the legacy stream
  uint64_t issued = 0, done = 0;
  std::deque<Work> pending;
  std::unique_ptr<Capture> capture;
};

/// A point in a stream's work. Empty: a past that is over.
struct Mark {
  std::weak_ptr<Stream> stream;
  uint64_t ticket = 0;
};

/// The stream behind a handle: null is the current device's legacy stream. Null, and a misuse that names `who`, for a
/// handle that is destroyed or unknown.
std::shared_ptr<Stream> find_stream(cudaStream_t handle, const char* who);

cudaStream_t add_stream(bool blocking);
bool remove_stream(cudaStream_t handle);

/// Adds work to a stream, or to the capture it is in. Fails as CUDA does where capture forbids it.
cudaError_t enqueue(Stream& stream, Work work);

Mark mark(const std::shared_ptr<Stream>& stream);
bool is_done(const Mark& mark);

/// Does the work up to `mark`, or all of a stream or device.
void drain(const Mark& mark);
void drain(Stream& stream);
void drain_device(int device);

/// The first error of work on `device` since this was last asked.
cudaError_t take_async_error(int device);

/// cudaSuccess when a call that may wait or allocate is allowed now; else the captures in its way are invalid.
cudaError_t check_unsafe_call();

/// The calling thread's capture interaction mode; cudaThreadExchangeStreamCaptureMode().
cudaStreamCaptureMode& thread_capture_mode();

/// Makes the captures of `device`'s streams invalid; true when there were any.
bool invalidate_captures(int device);

}  // namespace standin
