#include "delegate/unknown_names.h"

#include "base/quote.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {

std::vector<std::string> unknown_names(const std::vector<Option>& options, const Handles& handles) {
  std::vector<std::string> warnings;
  for (const Option& option : options) {
    const auto name = name_behind(kEngineBudgetPrefix, option.key);
    if (!name || name->empty() || find_named(handles, *name, option.key).ok()) continue;
    warnings.push_back("warning: " + escaped(option.key) + " has no effect: the program's engines are " +
                       names_of(handles) + ". Mend the name, or leave the option out.");
  }
  return warnings;
}

}  // namespace torchtrt_ws
