#pragma once

#include <memory>

#include "base/result.h"
#include "delegate/handle.h"
#include "delegate/sharing.h"
#include "engine/engine_kind.h"

namespace torchtrt_ws {

/// An engine that was deserialized, or one on the weights of an engine that is live.
struct OpenedEngine {
  std::unique_ptr<Engine> engine;
  std::shared_ptr<Handle> shares;  // whose weights; null: its own
};

/// Shares a live engine's weights where its bytes are those of `payload` and it lets itself be shared, else opens the
/// payload. `key`: what is known of the payload's bytes; null: do not share. They are compared with what their file
/// records if the live engine's were compared less strictly. Fails as OpenEngine does. opening() is held.
Result<OpenedEngine> open_or_share(OpenEngine open, Payload payload, const OpenRequest& request, PayloadKey* key);

}  // namespace torchtrt_ws
