#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "blob/metadata.h"
#include "delegate/open_or_share.h"
#include "delegate/sharing.h"
#include "engine/payload.h"

namespace torchtrt_ws {

/// A plan that was opened. The lock is opening()'s, held until the engine is live.
struct OpenedPlan {
  PayloadKey key;
  std::shared_ptr<std::mutex> mutex;
  std::unique_lock<std::mutex> only_one;
  OpenedEngine opened;
  std::string variant = {};  // which one, of several: variant_name()
};

/// What opens the only plan there is, with the metadata of that.
using OpenOnePlan = std::function<Result<OpenedPlan>(const Metadata& metadata, Payload payload)>;

/// Opens the engine of a blob: `payload`, or where the metadata list several plans the first of these that runs here,
/// in the order of order_variants(). One that fails with Incompatible is passed over, unless its bytes are not those
/// that the file records; any other failure is the engine's. `kind` is registered, `device` CUDA's index.
///
/// Fails as `open_one` does; with several plans also with Incompatible, where none of them runs here, with a reason for
/// each, and with NotSupported for a kind whose engines have one plan.
Result<OpenedPlan> open_plan(const std::string& kind, const std::string& name, const Metadata& metadata, int device,
                             Verify verify, Payload payload, const OpenOnePlan& open_one);

}  // namespace torchtrt_ws
