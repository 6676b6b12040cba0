#ifndef TORCHTRT_WS_TESTS_STANDIN_H_
#define TORCHTRT_WS_TESTS_STANDIN_H_

/* What a test can set in the stand-ins, and read back from them. Exported by the CUDA runtime stand-in, for both
 * libraries. C, so that ctypes can call it. All sizes are bytes. Thread-safe. README.md says what the stand-ins model.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Settings and counters back to what they were at the start of the process (so the STANDIN_* environment counts again);
 * peaks start at what lives now. What is allocated stays. */
void standin_reset(void);

/* Settings. Each can be given in the environment too: STANDIN_ and the name in upper case. Returns 0; -1: unknown name.
 *   devices            2      GPUs, 0 to 8
 *   driver_error       0      a cudaError_t that every CUDA call then returns: 35 driver too old, 100 no device
 *   device_bytes       8 GiB  memory of each device, at most 256 GiB
 *   compute            90     compute capability, 10 * major + minor
 *   pageable_access    0      cudaDevAttrPageableMemoryAccess
 *   automatic_budget   -1     what getWeightStreamingAutomaticBudget() says; -1: free less context, scratch and margin
 *   automatic_margin   0      bytes the automatic budget leaves free
 *   read_chunk         0      largest read of a plan's payload; 0: all in one
 *   read_to_device     0      1: the payload is read into device memory (IStreamReaderV2 only)
 *   capture            1      0: enqueueV3 refuses to be captured
 *   graph_bytes        0      what an executable graph takes of the device
 *   validity           0      what getEngineValidity() says of a plan (TensorRT-RTX's own headers alone have it), and
 *   diagnostics        0      why
 *   cache_driver       0      the driver that a runtime cache is good for (TensorRT-RTX's own headers alone have it)
 *   sticky             0      1: after an error from which CUDA does not recover, all calls that touch a device return
 *                             it until the next reset, and TensorRT's fail
 *   abort_on_misuse    0      1: print the misuse and abort */
int standin_set(const char* setting, int64_t value);
int64_t standin_get(const char* setting); /* -1: unknown name */

/* Another process takes memory of `device` until `bytes` are free; a negative number gives it all back. */
void standin_leave_free(int device, int64_t bytes);
int64_t standin_free_bytes(int device);

/* From the `nth` call of `function` from now (1: the next), `times` calls fail. `error`: a cudaError_t, 0 for the usual
 * one; ignored by TensorRT's functions, which return false or null. In the environment: STANDIN_FAIL=cudaMalloc:3,
 * enqueueV3:1:2:700 (function:nth:times:error, without spaces). */
void standin_fail(const char* function, int64_t nth, int64_t times, int error);
void standin_clear_faults(void);
int64_t standin_injected(void); /* faults that struck since the last reset */

/* Between standin_exempt(1) and standin_exempt(0) the calling thread's calls are the test's own: not counted, never
 * failed on purpose. Nests. */
void standin_exempt(int on);

/* Calls since the last reset. Names are CUDA's, and TensorRT's methods without their class; "compileKernel" is what
 * TensorRT-RTX compiled. */
int64_t standin_calls(const char* function);
int standin_function_count(void);             /* functions called since the last reset */
const char* standin_function_name(int index); /* valid until the process ends */
int standin_can_fail(const char* function);   /* 1: has a way to report a failure, and was called */

/* 1 while the calling thread is in a function of the stand-ins: for tests that count what the adapter allocates. */
int standin_inside(void);

/* Bytes moved since the last reset: "h2d", "d2h", "d2d", "h2h"; of these "pageable"; and "streamed" by enqueueV3. */
int64_t standin_bytes(const char* kind);

/* What lives now. Memory: "device" (cudaMalloc), "pinned", "weights", "scratch", "context" (TensorRT's own),
 * "graph_memory", and "device_total", all on devices. Objects: "stream", "event", "graph", "graph_exec", "runtime",
 * "engine", "execution_context", "refitter", "host_memory" (IHostMemory). */
int64_t standin_live(const char* kind);
int64_t standin_live_bytes(const char* kind);
int64_t standin_peak_bytes(const char* kind);

/* Broken rules of CUDA or TensorRT since the last reset: use after free, unknown pointers, another device's pointers,
 * kernels without access to memory, runtime destroyed before its engines, replay of a stale graph, ... */
int64_t standin_misuses(void);
const char* standin_misuse(int64_t index); /* valid until the next reset; null: no such misuse */

#ifdef __cplusplus
}
#endif

#endif /* TORCHTRT_WS_TESTS_STANDIN_H_ */
