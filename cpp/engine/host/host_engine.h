#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_kind.h"
#include "engine/host/nested_program.h"
#include "engine/host/shared_weights.h"

namespace torchtrt_ws::host {

/// An engine that runs on any CPU: a method of an ExecuTorch program lowered to XNNPACK.
///
/// Its streamable weights are those that XNNPACK packs, in a file mapping (packed_file.h): up to the budget they are
/// locked in memory, the rest is dropped after each run and paged in by the next. "Device" memory is this process's
/// resident memory. Without a cache folder it is an engine without streamable weights.
class HostEngine final : public Engine {
 public:
  ~HostEngine() override;

  static Result<std::unique_ptr<Engine>> open(Payload payload, const OpenRequest& request);

  /// For engines of its own program, such as those of other methods; null for others (shared_weights.h says why).
  Result<std::unique_ptr<Engine>> share(Payload& payload, const OpenRequest& request) const override;
  const void* weights() const override { return weights_.get(); }
  std::string device_name() const override { return "cpu"; }
  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }
  int64_t streamable_bytes() const override { return weights_->streamable_bytes(); }
  int64_t budget() const override { return weights_->budget(); }
  Result<int64_t> automatic_budget() const override;
  int64_t scratch_bytes() const override { return 0; }  // weights are paged in where they lie
  int64_t device_bytes() const override;
  MemoryFacts memory() const override;
  Status set_budget(int64_t bytes) override;
  int64_t budget_for(int64_t bytes) const override { return weights_->budget_for(bytes); }
  EngineCounters counters() const noexcept override { return counters_; }
  bool has_context() const override { return has_context_; }
  Status make_context() override;
  void drop_context() noexcept override;
  Status reset_state() override;
  Result<std::vector<RefittableWeight>> refittable_weights() const override;
  Status run(const std::vector<TensorView>& inputs, OutputSink& outputs) override;

 private:
  HostEngine(Payload payload, std::shared_ptr<SharedWeights> weights);

  Status load(const OpenRequest& request);
  Status join(const OpenRequest& request);
  Status load_streamable(const OpenRequest& request);
  Status open_weights(const OpenRequest& request);
  [[nodiscard]] NestedSource source() const { return {payload_.data(), payload_.size(), separate_}; }
  Status load_program(const std::string& method, const std::string& packed_cache_path);
  Status load_another(const std::string& path, std::vector<Range>& mappings);
  /// The pages of the payload, when it is a file mapping: what a run needs of them comes back.
  void give_back_what_was_read();
  Status read_io(const Metadata& metadata);

  // Destroyed in reverse: the program first, since it reads the payload and maps the packed file.
  Payload payload_;                                // kept: constants that XNNPACK does not pack are read in place
  std::shared_ptr<const NestedWeights> separate_;  // null: the weights are in the payload
  std::shared_ptr<SharedWeights> weights_;
  std::optional<NestedProgram> program_;
  std::vector<TensorSpec> inputs_;
  std::vector<TensorSpec> outputs_;
  std::string state_of_;  // the method whose buffers it keeps; empty: it keeps none
  bool has_context_ = false;
  EngineCounters counters_;
};

}  // namespace torchtrt_ws::host
