#pragma once

#include <executorch/runtime/core/exec_aten/exec_aten.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace torchtrt_ws::run {

/// An array of a .npy file: contiguous, in C order.
struct Array {
  executorch::aten::ScalarType dtype;
  std::vector<executorch::aten::SizesType> shape;
  std::vector<char> data;
};

/// Reads a .npy file, versions 1 to 3, little-endian, C order. Source of the format: numpy.lib.format.
/// Fails with BadArgument.
Result<Array> read_npy(const std::string& path);

/// Writes version 1. A dtype that numpy lacks (bfloat16, float8) is written as the integers of its bytes.
Status write_npy(const std::string& path, const executorch::aten::Tensor& tensor);

}  // namespace torchtrt_ws::run
