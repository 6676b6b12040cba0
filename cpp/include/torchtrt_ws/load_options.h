#pragma once

#include <executorch/runtime/backend/options.h>
#include <executorch/runtime/core/error.h>
#include <executorch/runtime/core/span.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {

/// Load-time options for the delegate, so that no user spells a key:
///
///     torchtrt_ws::LoadOptions options;
///     options.set_total_budget(512 << 20);
///     executorch::runtime::LoadBackendOptionsMap map;
///     if (auto error = options.add_to(map); error != Error::Ok) return error;
///     module.load(map);
///
/// Module::load() copies the options; this object may go afterwards. One general budget (total, per engine, percent or
/// reserve) may be set: two of them are refused at load, as is an option that is set twice. The first error sticks, and
/// error() and add_to() return it: InvalidArgument for a negative number, a percent over 100, a key over 63 bytes or a
/// text over 255, which ExecuTorch would cut silently.
class LoadOptions {
 public:
  /// Bytes for the whole program, split over its engines by the sizes recorded in the file. Refused at load for a
  /// program of several engines that records none.
  LoadOptions& set_total_budget(int64_t bytes) { return add_number(kTotalBudgetKey, bytes); }

  /// Bytes of each engine's weights that stay on the device.
  LoadOptions& set_budget_per_engine(int64_t bytes) { return add_number(kBudgetKey, bytes); }

  /// Bytes of one engine's weights; stronger than all the others. `engine`: its name in the file, at most 39
  /// characters.
  LoadOptions& set_budget(std::string_view engine, int64_t bytes) {
    return add_number(std::string(kEngineBudgetPrefix).append(engine), bytes);
  }

  /// Percent of each engine's streamable weights that stays on the device, 0 to 100.
  LoadOptions& set_percent(int percent) { return percent > 100 ? refuse() : add_number(kPercentKey, percent); }

  /// The automatic budget that leaves `bytes` of the device free; 0 asks for the automatic one over a baked value.
  LoadOptions& set_reserve(int64_t bytes) { return add_number(kReserveKey, bytes); }

  /// Bytes of the device that an automatic budget leaves free for what nobody foresees: kernels that are loaded late,
  /// an allocator's granules, other processes. 64 MiB unless set. Not a budget: it may stand beside one.
  LoadOptions& set_margin(int64_t bytes) { return add_number(kMarginKey, bytes); }

  /// The device to load on, as CUDA counts them, instead of the one in the file.
  LoadOptions& set_device_id(int device) { return add_number(kDeviceIdKey, device); }

  /// Whether runs are captured and replayed as CUDA graphs where shapes and addresses repeat: true, soon and whatever
  /// memory is free; false, never, as unless set. While a run is captured no other thread may call
  /// cudaDeviceSynchronize. Engines without CUDA ignore it.
  LoadOptions& set_cuda_graph(bool wanted) { return add(kCudaGraphKey, wanted); }

  /// The same in words: "auto", after a few calls and where the device has memory to spare; "on"; "off".
  LoadOptions& set_cuda_graph(const char* how) { return add_text(kCudaGraphKey, how); }

  /// Whether an engine that is loaded already, with the same bytes on the same device, is used again: one copy of the
  /// weights and one budget, with an execution context of its own. True unless set. Needs a mapped file
  /// (Module::LoadMode::Mmap), or verify "digest".
  LoadOptions& set_share_engines(bool wanted) { return add(kShareEnginesKey, wanted); }

  /// How many programs of this file will share its engines, this one among them, for as many calls at the same time: a
  /// Module runs one call at a time, so N modules on one mapped file are N execution contexts on one copy of the
  /// weights. Only an automatic budget asks: the first load leaves room for all contexts. 1 unless set.
  LoadOptions& set_contexts(int count) { return count < 1 ? refuse() : add(kContextsKey, count); }

  /// Whether the execution contexts of a program with several TensorRT engines work in one piece of device memory, as
  /// large as the largest of them needs. True unless set. They take turns on the device then, whatever streams and
  /// threads call them.
  LoadOptions& set_share_scratch(bool wanted) { return add(kShareScratchKey, wanted); }

  /// Whether huge pages are asked for, of the system, for the host memory that an engine of 256 MiB or more is read
  /// into: it is filled more than twice as fast. True unless set.
  LoadOptions& set_huge_pages(bool wanted) { return add(kHugePagesKey, wanted); }

  /// The folder that keeps the kernels which TensorRT-RTX compiles for an engine, so that the next process need not:
  /// made where it is missing, and not used where others may write it. "off": none. Unless set: TORCHTRT_WS_CACHE, else
  /// ~/.cache/torchtrt_ws. At most 255 bytes. Needs an adapter that was compiled with TensorRT-RTX's own headers.
  LoadOptions& set_runtime_cache(std::string_view folder) { return add_text(kRuntimeCacheKey, folder); }

  /// The folder that keeps a TensorRT plan which was saved without its weights, with them: the next load reads it
  /// instead of refitting. Takes their size on the disk, and in host memory once more while it is written. Made where
  /// it is missing, and not used where others may write it. "off", as unless set: none. At most 255 bytes.
  LoadOptions& set_refit_cache(std::string_view folder) { return add_text(kRefitCacheKey, folder); }

  /// How each engine's bytes are compared with what the file records of them: "checksum" (the default; finds damage),
  /// "digest" (SHA-256; some 1 to 2 GB/s) or "off".
  LoadOptions& set_verify(std::string_view how) { return add_text(kVerifyKey, how); }

  /// Any option by its key, for programs that read theirs from elsewhere. At most 63 bytes of key
  /// (runtime/backend/options.h, kMaxOptionKeyLength).
  LoadOptions& add(std::string_view key, executorch::runtime::OptionValue value) {
    executorch::runtime::BackendOption option{};
    if (key.size() >= sizeof(option.key)) return refuse();
    std::copy(key.begin(), key.end(), option.key);
    option.value = value;
    options_.push_back(option);
    return *this;
  }

  /// Any option whose value is a string; at most 255 bytes (runtime/backend/options.h, kMaxOptionValueLength).
  LoadOptions& add_text(std::string_view key, std::string_view text) {
    std::array<char, executorch::runtime::kMaxOptionValueLength> value{};
    if (text.size() >= value.size()) return refuse();
    std::copy(text.begin(), text.end(), value.begin());
    return add(key, value);
  }

  /// For executorch::runtime::set_option() and set_budget(); valid until the next change of this object.
  executorch::runtime::Span<executorch::runtime::BackendOption> view() { return {options_.data(), options_.size()}; }

  /// Ok, or the first error.
  executorch::runtime::Error error() const { return first_error_; }

  /// Puts the options into ExecuTorch's map, which points to them: keep this object until the map was used. Returns
  /// the first error, or what LoadBackendOptionsMap::set_options() returns (runtime/backend/backend_options_map.h).
  template <typename Map>
  executorch::runtime::Error add_to(Map& map) {
    if (first_error_ != executorch::runtime::Error::Ok) return first_error_;
    return map.set_options(kBackendId, view());
  }

 private:
  LoadOptions& add_number(std::string_view key, int64_t number) {
    if (number < 0) return refuse();
    return add_text(key, std::to_string(number));  // a string: ExecuTorch's integers have 32 bits
  }

  LoadOptions& refuse() {
    if (first_error_ == executorch::runtime::Error::Ok) first_error_ = executorch::runtime::Error::InvalidArgument;
    return *this;
  }

  std::vector<executorch::runtime::BackendOption> options_;
  executorch::runtime::Error first_error_ = executorch::runtime::Error::Ok;
};

}  // namespace torchtrt_ws
