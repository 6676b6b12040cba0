#include "engine/tensorrt/activation_block.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace torchtrt_ws::tensorrt {

std::shared_ptr<ActivationBlock> ActivationBlock::of(const void* program, int device) {
  static auto* mutex = new std::mutex;  // both leaked: programs may be loaded while the process ends
  static auto* all = new std::map<std::pair<const void*, int>, std::weak_ptr<ActivationBlock>>;
  std::lock_guard<std::mutex> lock(*mutex);
  for (auto each = all->begin(); each != all->end();)
    each = each->second.expired() ? all->erase(each) : std::next(each);
  std::weak_ptr<ActivationBlock>& known = (*all)[{program, device}];
  std::shared_ptr<ActivationBlock> block = known.lock();
  if (block == nullptr) known = block = std::make_shared<ActivationBlock>();
  return block;
}

ActivationBlock::~ActivationBlock() { (void)wait(); }

cudaError_t ActivationBlock::wait() noexcept {
  if (!std::exchange(in_use_, false)) return cudaSuccess;
  return cudaEventSynchronize(done_.get());
}

int64_t ActivationBlock::largest_need() const noexcept {
  int64_t most = 0;
  for (const auto& [user, bytes] : needs_) most = std::max(most, bytes);
  return most;
}

/// Makes the memory as large as the largest need, by the way smaller too.
Status ActivationBlock::fit(const std::string& subject) {
  const auto wanted = static_cast<size_t>(largest_need());
  if (memory_.size() == wanted) return ok_status();
  Status waited = check_cuda(subject, "cudaEventSynchronize", wait());
  if (!waited.ok()) return waited;
  ++generation_;
  memory_.free();  // first: there may be no room for both
  return memory_.reserve(subject, wanted);
}

Status ActivationBlock::need(const std::string& subject, const void* user, int64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  needs_[user] = bytes;
  Status fitted = fit(subject);
  if (fitted.ok()) return fitted;
  needs_.erase(user);
  (void)fit(subject);  // the others have their memory again, or get it when they run
  return fitted;
}

void ActivationBlock::need_nothing(const void* user) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (needs_.erase(user) > 0) (void)fit("activation memory");
}

int64_t ActivationBlock::size() const noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int64_t>(memory_.size());
}

int64_t ActivationBlock::needed_by_others(const void* user) const noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  int64_t most = 0;
  for (const auto& [each, bytes] : needs_) most = each == user ? most : std::max(most, bytes);
  return most;
}

bool ActivationBlock::is_counted_by(const void* user) const noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto largest =
      std::max_element(needs_.begin(), needs_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return largest != needs_.end() && largest->first == user;
}

Result<ActivationBlock::Turn> ActivationBlock::take(const std::string& subject) {
  Turn turn(*this);
  Status fitted = fit(subject);
  if (!fitted.ok()) return std::move(fitted).failure();
  if (done_.get() == nullptr) {
    Status made =
        check_cuda(subject, "cudaEventCreateWithFlags", cudaEventCreateWithFlags(done_.out(), cudaEventDisableTiming));
    if (!made.ok()) return std::move(made).failure();
  }
  return turn;
}

cudaError_t ActivationBlock::Turn::enter(cudaStream_t stream) noexcept {
  return block_.in_use_ ? cudaStreamWaitEvent(stream, block_.done_.get(), 0) : cudaSuccess;
}

cudaError_t ActivationBlock::Turn::leave(cudaStream_t stream) noexcept {
  const cudaError_t recorded = cudaEventRecord(block_.done_.get(), stream);
  block_.in_use_ = block_.in_use_ || recorded == cudaSuccess;
  return recorded;
}

}  // namespace torchtrt_ws::tensorrt
