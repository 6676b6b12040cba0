#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>
#include <vector>

#include "standin_plan.h"

// TensorRT-RTX's own headers count from 1; those of 1.5 and later are laid out as TensorRT 11's.
#if NV_TENSORRT_MAJOR < 8
#define STANDIN_RTX_HEADERS 1
#else
#define STANDIN_RTX_HEADERS 0
#endif
#if NV_TENSORRT_MAJOR >= 11 || (STANDIN_RTX_HEADERS && NV_TENSORRT_MINOR >= 5)
#define STANDIN_LAYOUT_11 1
#else
#define STANDIN_LAYOUT_11 0
#endif

namespace standin {

/// What outlives its TensorRT object, so that use after destruction can be told.
struct RuntimeState {
  nvinfer1::ILogger* logger;
  int device;  // current when the runtime was made
  int engines = 0;
  bool alive = true;
};

struct Kernels;  // runtime_cache.h

struct EngineState {
  Plan plan;
  std::shared_ptr<RuntimeState> runtime;
  int device;
  int64_t budget;  // bytes of streamable weights on the device
  int contexts = 0;
  void* resident = nullptr;  // weights that cannot stream
  void* weights =
      nullptr;  // streamable weights: `budget` bytes of them; below full residency only while a context lives
  bool alive = true;

  bool is_streaming() const { return budget < plan.streamable; }
  int64_t scratch() const { return is_streaming() ? plan.scratch : 0; }
  const Plan::Tensor* find(const char* name) const;
};

/// Logs an error in the form of TensorRT's: "<where>: Error Code <code>: <words>".
/// What TensorRT says of a failure that a test asked for: its own (0), or CUDA's.
std::string fault_words(int error);

void log_error(const RuntimeState& runtime, const std::string& where, const std::string& words);

/// "Parameter check failed" as TensorRT puts it.
void log_misuse(const RuntimeState& runtime, const std::string& where, const std::string& condition,
                const std::string& words);

void log_out_of_memory(const RuntimeState& runtime, const std::string& where, int64_t bytes);

/// A function that the stand-in does not have: the adapter needs it, so the stand-in must learn it. Aborts.
[[noreturn]] void absent(const char* function);

/// True when the current device is `device`; else a misuse that names `who`.
bool check_device(int device, const char* who);

nvinfer1::Dims to_dims(const std::vector<int64_t>& shape);
std::string to_text(const nvinfer1::Dims& dims);
int64_t volume(const nvinfer1::Dims& dims);  // elements; negative where a dimension is

/// Joins TensorRT's non-virtual interface class to our implementation of its virtual half.
template <typename Interface, typename Implementation>
struct Face final : Interface {
  template <typename... Arguments>
  explicit Face(Arguments&&... arguments) : implementation(*this, std::forward<Arguments>(arguments)...) {
    this->mImpl = &implementation;
  }
  Implementation implementation;
};

/// A plan with that text, as this library reads it.
std::vector<uint8_t> write_plan(const std::string& text);

/// As TensorRT makes it: one of a plan that was built without its weights leaves them out.
nvinfer1::ISerializationConfig* make_serialization_config(const EngineState& engine);

/// The plan with the weights that the engine has now, if `config` says so.
nvinfer1::IHostMemory* serialize(const EngineState& engine, const nvinfer1::ISerializationConfig& config);

/// What an engine of ours is.
std::shared_ptr<EngineState> state_of(nvinfer1::ICudaEngine& engine);

nvinfer1::IRefitter* make_refitter(std::shared_ptr<EngineState> state, nvinfer1::ILogger* logger);
nvinfer1::IRuntime* make_runtime(nvinfer1::ILogger* logger);
nvinfer1::ICudaEngine* make_engine(std::shared_ptr<EngineState> state);
nvinfer1::IExecutionContext* make_context(std::shared_ptr<EngineState> state, nvinfer1::ICudaEngine& engine,
                                          bool user_managed, std::shared_ptr<Kernels> kernels);

}  // namespace standin
