#include "engine/host/residency.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "engine/log.h"

namespace torchtrt_ws::host {
namespace {

void say_once_that_locking_failed(int error) {
  static std::atomic<bool> said{false};
  if (said.exchange(true)) return;
  log_info(std::string("warning: weights of a host engine could not be locked in memory (") + std::strerror(error) +
           "); they are kept, but the system may page them out. Raise RLIMIT_MEMLOCK (ulimit -l) to the budget to lock "
           "them.");
}

}  // namespace

void Residency::keep(int64_t bytes, int64_t all) {
  auto* start = reinterpret_cast<char*>(range_.start);
  if (locked_) munlock(start, kept_);
  locked_ = false;
  // Whole pages: the part of a page at the end is dropped, unless everything is kept.
  const size_t pages = (static_cast<size_t>(bytes) + (bytes >= all ? page_size() - 1 : 0)) / page_size();
  kept_ = std::min(pages * page_size(), range_.size);
  if (kept_ > 0) {
    locked_ = mlock(start, kept_) == 0;
    if (!locked_) {
      say_once_that_locking_failed(errno);
      madvise(start, kept_, MADV_WILLNEED);
    }
  }
  drop_rest();
}

void Residency::drop_rest() {
  if (kept_ < range_.size) {
    madvise(reinterpret_cast<char*>(range_.start) + kept_, range_.size - kept_, MADV_DONTNEED);
  }
}

}  // namespace torchtrt_ws::host
