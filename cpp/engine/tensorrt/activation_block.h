#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "engine/tensorrt/cuda.h"

namespace torchtrt_ws::tensorrt {

/// One piece of device memory in which the execution contexts of a program work, one after the other: activations, and
/// the scratch that streaming needs. It is as large as the largest of them needs.
///
/// Source: contexts made with kUSER_MANAGED take their scratch from the memory they are given as well; three engines at
/// a budget of 0 took 82 MB instead of 180, with the same latency (H200, benchmarks/results/gpu-h200-x2.md).
///
/// Members are safe to use from several threads. The block's device is current in every call.
class ActivationBlock {
 public:
  /// The block of `program` on `device`, made when there is none; empty until a context needs it.
  static std::shared_ptr<ActivationBlock> of(const void* program, int device);

  ActivationBlock() : memory_(Buffer::Kind::Device) {}
  ~ActivationBlock();
  ActivationBlock(const ActivationBlock&) = delete;
  ActivationBlock& operator=(const ActivationBlock&) = delete;

  /// `user`, an engine, has a context that needs `bytes`. Waits for work in the block when it must grow. Fails with
  /// DoesNotFit or EngineFault; then the user needs nothing.
  Status need(const std::string& subject, const void* user, int64_t bytes);

  /// The context is gone: the block shrinks to what the others need.
  void need_nothing(const void* user) noexcept;

  int64_t size() const noexcept;
  int64_t needed_by_others(const void* user) const noexcept;

  /// Whether `user` is the one to count the block in what it takes of the device: the first with the largest need.
  bool is_counted_by(const void* user) const noexcept;

  /// The block for one run, which has to be enqueued while this lives. Nobody else enqueues work in it meanwhile.
  class Turn {
   public:
    void* data() const noexcept { return block_.memory_.data(); }
    int64_t size() const noexcept { return static_cast<int64_t>(block_.memory_.size()); }
    /// Differs from that of an earlier turn where the memory is another one.
    uint64_t generation() const noexcept { return block_.generation_; }

    /// `stream` waits for what was enqueued in the block before.
    cudaError_t enter(cudaStream_t stream) noexcept;
    /// What was enqueued on `stream` has to be waited for from now on.
    cudaError_t leave(cudaStream_t stream) noexcept;

   private:
    friend class ActivationBlock;
    explicit Turn(ActivationBlock& block) : block_(block), lock_(block.mutex_) {}

    ActivationBlock& block_;
    std::unique_lock<std::mutex> lock_;
  };
  /// Fails with DoesNotFit where the memory went when the block shrank, and cannot be had again.
  Result<Turn> take(const std::string& subject);

 private:
  int64_t largest_need() const noexcept;
  Status fit(const std::string& subject);
  cudaError_t wait() noexcept;

  mutable std::mutex mutex_;              // guards all below
  std::map<const void*, int64_t> needs_;  // of contexts, in bytes
  Buffer memory_;
  uint64_t generation_ = 0;
  Event done_;           // behind the last run in the block; made with the first
  bool in_use_ = false;  // done_ was recorded
};

}  // namespace torchtrt_ws::tensorrt
