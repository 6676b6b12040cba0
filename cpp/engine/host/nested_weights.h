#pragma once

#include <executorch/runtime/core/named_data_map.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/weights.h"

namespace torchtrt_ws::host {

/// The data map of a nested program whose weights lie in the program's companion file: those weights, by the names that
/// the nested program has for them.
///
/// It hands out the file's own memory, so it must outlive what is loaded with it. Loads ask one at a time.
class NestedWeights final : public executorch::runtime::NamedDataMap {
 public:
  template <typename T>
  using ExecuTorchResult = executorch::runtime::Result<T>;

  /// Finds the weights and compares them as `verify` says. Fails with BadEngine.
  static Result<std::shared_ptr<NestedWeights>> open(const std::string& subject, const SeparateWeights& listed,
                                                     const WeightsSource* source, Verify verify);

  [[nodiscard]] const Weights& weights() const { return *weights_; }

  /// The first name that somebody asked for since the last call and did not get; empty: there was none.
  [[nodiscard]] std::string take_missing() const { return std::exchange(missing_, {}); }

  /// Gives back the pages of the file that were read: what is used again comes back.
  void drop_pages() const;

  ExecuTorchResult<const executorch::runtime::TensorLayout> get_tensor_layout(std::string_view key) const override;
  ExecuTorchResult<executorch::runtime::FreeableBuffer> get_data(std::string_view key) const override;
  executorch::runtime::Error load_data_into(std::string_view key, void* buffer, size_t size) const override;
  ExecuTorchResult<uint32_t> get_num_keys() const override { return static_cast<uint32_t>(listed_.tensors.size()); }
  ExecuTorchResult<const char*> get_key(uint32_t index) const override;

 private:
  /// What ExecuTorch's TensorLayout refers to.
  struct Layout {
    std::vector<int32_t> sizes;
    std::vector<uint8_t> order;
  };

  explicit NestedWeights(const SeparateWeights& listed) : listed_(listed) {}
  Status describe(const std::string& subject);
  const size_t* find(std::string_view key) const;

  const SeparateWeights listed_;
  std::unique_ptr<Weights> weights_;
  std::map<std::string, size_t, std::less<>> places_;  // in listed_, by name
  std::vector<Layout> layouts_;                        // likewise; empty where there is no shape
  mutable std::string missing_;
};

}  // namespace torchtrt_ws::host
