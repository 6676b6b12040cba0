#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "budget/request.h"
#include "delegate/read_options.h"

namespace torchtrt_ws {

/// What loads of this process do where their own options say nothing.
struct Defaults {
  General budget;                 ///< for Request::process
  std::optional<int64_t> margin;  ///< for Request::margin
  OpenOptions open;               ///< what read_open_options() starts from
};

/// What was said last.
Defaults process_defaults();

/// The budget that the environment asks for; monostate where it asks for none. Fails with BadOption.
Result<General> environment_budget();

/// `options`, and nothing else, are the defaults from now on. Fails with BadOption for what cannot be read, and for
/// what belongs to one load: options of one engine, kContextsKey. The defaults are as they were then.
Status replace_defaults(const std::vector<Option>& options);

/// The errors that merge_defaults() would have.
Status check_defaults(const std::vector<Option>& options);

/// From now on `options` hold in place of what the defaults said of the same. A budget replaces a budget, in whatever
/// form; an empty one leaves none. Options of one engine are left out. Errors as replace_defaults().
Status merge_defaults(const std::vector<Option>& options);

}  // namespace torchtrt_ws
