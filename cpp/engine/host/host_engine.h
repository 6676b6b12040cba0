#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_kind.h"
#include "engine/host/nested_program.h"
#include "engine/host/packed_file.h"
#include "engine/host/residency.h"

namespace torchtrt_ws::host {

/// An engine that runs on any CPU: an ExecuTorch program lowered to XNNPACK.
///
/// Its streamable weights are those that XNNPACK packs, in a file mapping (packed_file.h): up to the budget they are
/// locked in memory, the rest is dropped after each run and paged in by the next. "Device" memory is this process's
/// resident memory. Without a cache folder it is an engine without streamable weights.
class HostEngine final : public Engine {
 public:
  ~HostEngine() override;

  static Result<std::unique_ptr<Engine>> open(Payload payload, const OpenRequest& request);

  /// Null: XNNPACK's packed weights belong to one program. Their pages are shared all the same: both map one file.
  Result<std::unique_ptr<Engine>> share(const OpenRequest&) const override { return std::unique_ptr<Engine>(); }
  const void* weights() const override { return this; }
  std::string device_name() const override { return "cpu"; }
  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }
  int64_t streamable_bytes() const override { return packed_ ? packed_->weight_bytes() : 0; }
  int64_t budget() const override;
  Result<int64_t> automatic_budget() const override;
  int64_t scratch_bytes() const override { return 0; }  // weights are paged in where they lie
  int64_t device_bytes() const override;
  MemoryFacts memory() const override;
  Status set_budget(int64_t bytes) override;
  bool has_context() const override { return has_context_; }
  Status make_context() override {
    has_context_ = true;
    return ok_status();
  }
  void drop_context() noexcept override { has_context_ = false; }
  Status run(const std::vector<TensorView>& inputs, OutputSink& outputs) override;

 private:
  explicit HostEngine(Payload payload) : payload_(std::move(payload)) {}

  Status load(const OpenRequest& request);
  Status load_streamable(const OpenRequest& request);
  /// The pages of the payload, when it is a file mapping: what a run needs of them comes back.
  void give_back_what_was_read();
  Status read_io(const Metadata& metadata);

  // Destroyed in reverse: the program first, since it reads the payload and maps the packed file.
  Payload payload_;  // kept: constants that XNNPACK does not pack are read in place
  std::optional<PackedFile> packed_;
  std::optional<NestedProgram> program_;
  std::vector<Residency> residency_;  // one for each mapping of the packed file: XNNPACK makes one of the whole file
  std::vector<TensorSpec> inputs_;
  std::vector<TensorSpec> outputs_;
  bool has_context_ = false;
};

}  // namespace torchtrt_ws::host
