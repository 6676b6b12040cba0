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

/// Reads pages in; false when they did not come.
bool read_in(void* start, size_t bytes) {
#ifdef MADV_POPULATE_READ
  if (madvise(start, bytes, MADV_POPULATE_READ) == 0) return true;
  if (errno != EINVAL) return false;
#endif
  // A kernel before 5.14: it reads ahead, and the next run takes the pages.
  return madvise(start, bytes, MADV_WILLNEED) == 0;
}

void say_that_nothing_is_kept(size_t bytes, int error) {
  log_info("warning: " + std::to_string(bytes) + " bytes of a host engine's weights could not be read in (" +
           std::strerror(error) + "); none are kept, and the budget is 0.");
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
      const int error = errno;
      munlock(start, kept_);  // a part of it may be locked
      if (read_in(start, kept_)) {
        say_once_that_locking_failed(error);
      } else {
        say_that_nothing_is_kept(kept_, errno);
        kept_ = 0;
      }
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
