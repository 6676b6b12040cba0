#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

namespace torchtrt_ws {

/// Addresses [start, end).
struct AddressRange {
  uint64_t start;
  uint64_t end;
};

/// The mappings in `maps`, which is /proc/self/maps: all, in the order of addresses.
std::vector<AddressRange> mappings_in(std::string_view maps);

/// The first private, writable, anonymous memory in `maps` of `least` bytes or more that no range of `before` covers;
/// `before` is in the order of addresses. Linux joins neighbours into one mapping, so it may be a part of one. Pure.
std::optional<AddressRange> new_anonymous(const std::vector<AddressRange>& before, std::string_view maps,
                                          uint64_t least);

/// Asks for huge pages for a buffer that somebody else is about to allocate and to fill: with pages of 4 KiB most of
/// the time it takes to fill gigabytes goes into page faults.
///
/// Who fills memory for the first time must be told before it does, and TensorRT tells nobody. So a thread looks at
/// /proc/self/maps until new memory of that size is there, and advises it (madvise(2), MADV_HUGEPAGE), which holds for
/// what is not filled yet. Advice only: nothing depends on it.
class HugePageWatcher {
 public:
  enum class Outcome {
    Advised,  ///< the buffer
    Unseen,   ///< no such buffer came; or huge pages are given without asking, so that nobody looked
    Refused,  ///< this system gives none
  };

  /// Begins to look for one new mapping that holds about `bytes`.
  explicit HugePageWatcher(uint64_t bytes);
  ~HugePageWatcher() { stop(); }
  HugePageWatcher(const HugePageWatcher&) = delete;
  HugePageWatcher& operator=(const HugePageWatcher&) = delete;

  /// Ends looking, and says what came of it.
  Outcome stop() noexcept;

 private:
  void look(const std::vector<AddressRange>& before, uint64_t least) noexcept;

  std::thread thread_;
  std::atomic<bool> stopped_{false};
  std::atomic<Outcome> outcome_{Outcome::Unseen};
};

}  // namespace torchtrt_ws
