#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <vector>

#include "standin_plan.h"

namespace standin {

/// One input as the stand-in sees it: where its bytes are, and how many elements.
struct Operand {
  const std::byte* data;
  nvinfer1::DataType dtype;
  size_t count;
  double factor;
};

/// bias + sum of factor * operand, element by element; an operand of one element is used for all. In double, then
/// rounded to `dtype`. Writes `count` elements. Operands may be the same memory as `target`.
void compute_affine(double bias, const std::vector<Operand>& operands, nvinfer1::DataType dtype, std::byte* target,
                    size_t count);

/// bias + sum of factor * (sum of the operand's elements): one element.
void compute_sum(double bias, const std::vector<Operand>& operands, nvinfer1::DataType dtype, std::byte* target);

}  // namespace standin
