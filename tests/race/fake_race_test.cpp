// Threads over an engine without a lock of its own: each member is a plain one, so that ThreadSanitizer sees any call
// that the delegate lets in beside another.

#include <gtest/gtest.h>

#include <algorithm>

#include "../delegate/fake_engine.h"
#include "race.h"

namespace torchtrt_ws::testing {
namespace {

using executorch::aten::ScalarType;

class PlainEngine final : public Engine {
 public:
  explicit PlainEngine(Payload payload) : payload_(std::move(payload)) {}

  Result<std::unique_ptr<Engine>> share(Payload&, const OpenRequest&) const override {
    return std::unique_ptr<Engine>();
  }
  const void* weights() const override { return this; }
  std::string device_name() const override { return "plain:0"; }
  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }
  int64_t streamable_bytes() const override { return kStreamable; }
  int64_t budget() const override { return touch(budget_); }
  Result<int64_t> automatic_budget() const override { return touch(int64_t{kStreamable}); }
  int64_t scratch_bytes() const override { return touch(int64_t{64}); }
  int64_t device_bytes() const override { return touch(budget_); }
  MemoryFacts memory() const override { return touch(MemoryFacts{int64_t{1} << 40, 64, 64, kStreamable}); }
  bool has_context() const override { return touch(has_context_); }

  Status set_budget(int64_t bytes) override {
    if (touch(has_context_)) return Failure{ErrorCode::WrongState, "budget", "a context", "none", ""};
    budget_ = bytes;
    return ok_status();
  }
  Status make_context() override {
    touch(has_context_ = true);
    return ok_status();
  }
  void drop_context() noexcept override { touch(has_context_ = false); }

  Status run(const std::vector<TensorView>& inputs, OutputSink& outputs) override {
    if (!touch(has_context_)) return Failure{ErrorCode::WrongState, "run", "no context", "one", ""};
    auto target = outputs.resize(0, inputs[0].sizes, inputs[0].rank);
    if (!target.ok()) return std::move(target).failure();
    const auto* from = static_cast<const float*>(inputs[0].data);
    auto* to = static_cast<float*>(target.value().data);
    const size_t count = target.value().nbytes / sizeof(float);
    values_.assign(from, from + count);
    std::transform(values_.begin(), values_.end(), to, [](float each) { return 2 * each; });
    return ok_status();
  }

 private:
  /// Writes a member in every call, const ones too: two calls at once are a race, whatever they read.
  template <typename T>
  T touch(T value) const {
    ++calls_;
    return value;
  }

  Payload payload_;
  std::vector<TensorSpec> inputs_ = {{"x", ScalarType::Float, {1, 2}, {4, 2}}};
  std::vector<TensorSpec> outputs_ = {{"y", ScalarType::Float, {1, 2}, {4, 2}}};
  std::vector<float> values_;
  int64_t budget_ = 0;
  bool has_context_ = false;
  mutable int64_t calls_ = 0;
};

Result<std::unique_ptr<Engine>> open_plain(Payload payload, const OpenRequest&) {
  return std::unique_ptr<Engine>(std::make_unique<PlainEngine>(std::move(payload)));
}

TEST(Race, TheDelegateSerializesTheCallsOfAnEngine) {
  reset_device();  // readies ExecuTorch's runtime
  ASSERT_TRUE(register_engine_kind("plain", &open_plain));
  race([](const std::string& name) { return make_blob(name, 1, "null", "null", "plain"); });
}

}  // namespace
}  // namespace torchtrt_ws::testing
