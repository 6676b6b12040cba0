#include "delegate/load_request.h"

#include <utility>

namespace torchtrt_ws {

std::optional<Shares> recorded_shares(const Metadata& metadata, bool shared) {
  if (!metadata.own) return std::nullopt;
  const OwnFacts& own = *metadata.own;
  const bool once = shared && own.program_distinct_bytes.has_value();
  return Shares{own.program_engines, own.streamable_bytes,
                once ? own.program_distinct_bytes : own.program_streamable_bytes};
}

Result<Request> read_load_request(const std::vector<Option>& options, const std::vector<BakedSpec>& baked,
                                  const std::string& name, const Defaults& defaults) {
  auto request = read_request(options, baked, name);
  if (!request.ok()) return request;
  auto environment = environment_budget();
  if (!environment.ok()) return std::move(environment).failure();
  request.value().process = defaults.budget;
  request.value().environment = environment.value();
  if (!request.value().margin) request.value().margin = defaults.margin;
  return request;
}

}  // namespace torchtrt_ws
