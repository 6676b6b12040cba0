// Registers the engine kind "tensorrt", and a CUDA allocator for ExecuTorch, while this library is loaded.

#include "engine/engine.h"
#include "engine/engine_kind.h"
#include "engine/tensorrt/device_allocator.h"
#include "engine/tensorrt/tensorrt_engine.h"

namespace torchtrt_ws::tensorrt {
namespace {

class TensorRTKind final : public EngineKind {
 public:
  const char* name() const override { return "tensorrt"; }
  Result<std::unique_ptr<Engine>> open(Payload payload, const OpenRequest& request) override {
    return TensorRTEngine::open(std::move(payload), request);
  }
};

TensorRTKind kind;
[[maybe_unused]] const bool registered = register_engine_kind(kind);
[[maybe_unused]] const bool allocates = register_device_allocator();

}  // namespace
}  // namespace torchtrt_ws::tensorrt
