#include "budget/headroom_look.h"

#include <algorithm>

#include "budget/request.h"

namespace torchtrt_ws {

HeadroomLook look_at_headroom(int64_t free, int64_t headroom, bool was_calm) noexcept {
  const int64_t over = free - headroom;  // of two numbers that are not negative: no overflow
  const bool calm = over >= kDefaultMargin;
  return {std::max<int64_t>(-over, 0), calm && was_calm ? (over - kDefaultMargin) / 2 : 0, calm};
}

}  // namespace torchtrt_ws
