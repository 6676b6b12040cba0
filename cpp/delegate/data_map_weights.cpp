#include "delegate/data_map_weights.h"

#include <memory>
#include <utility>

#include "base/quote.h"

namespace torchtrt_ws {

using executorch::runtime::Error;
using executorch::runtime::FreeableBuffer;

Result<Payload> DataMapWeights::find(const std::string& key, const std::string& weight) const {
  // The map looks keys up as C strings (extension/named_data_map/merged_data_map.cpp, executorch 1.5.1).
  auto found = map_.get_data(key.c_str());
  if (!found.ok()) {
    const bool missing = found.error() == Error::NotFound;
    return Failure{ErrorCode::BadEngine, "weight " + in_quotes(weight),
                   missing ? "no such weight in the data files that the program was loaded with"
                           : std::string(executorch::runtime::to_string(found.error())) + " from ExecuTorch",
                   "its bytes under the key " + in_quotes(key), "Load the program with the data file saved with it"};
  }
  auto buffer = std::make_shared<FreeableBuffer>(std::move(found.get()));
  const auto* const data = static_cast<const uint8_t*>(buffer->data());
  const uint64_t size = buffer->size();
  return Payload(data, size, [buffer = std::move(buffer)] { buffer->Free(); });
}

}  // namespace torchtrt_ws
