#pragma once

#include <cstddef>

#include "blob/metadata.h"

namespace torchtrt_ws {

/// The metadata of an engine of several plans as if there were only the plan `index` of them (own->variants): its
/// digests, builder, sizes and weights. Who opens a plan need not know of the others.
[[nodiscard]] Metadata as_variant(const Metadata& metadata, std::size_t index);

}  // namespace torchtrt_ws
