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

/// The first element of what lies there.
double load_first(const void* data, nvinfer1::DataType dtype);

/// bias + sum of factor * operand, element by element; an operand of fewer elements is used again and again. In double,
/// then rounded to `dtype`. Writes `count` elements. Operands may be the same memory as `target`.
void compute_affine(double bias, const std::vector<Operand>& operands, nvinfer1::DataType dtype, std::byte* target,
                    size_t count);

/// The positions of elements that are not 0, one row for each dimension of `shape`, in the order of the elements.
std::vector<std::vector<int64_t>> find_nonzero(const Operand& operand, const std::vector<int64_t>& shape);

/// Writes rows of positions, one after the other.
void write_indices(const std::vector<std::vector<int64_t>>& indices, nvinfer1::DataType dtype, std::byte* target);

/// bias + sum of factor * (sum of the operand's elements): one element.
void compute_sum(double bias, const std::vector<Operand>& operands, nvinfer1::DataType dtype, std::byte* target);

}  // namespace standin
