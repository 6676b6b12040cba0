#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <string>
#include <vector>

namespace standin {

/// What a plan of the stand-in says: plan.py writes it and documents the format. Sizes are bytes.
struct Plan {
  struct Term {
    double factor;
    size_t input;  // index into `tensors`
  };
  struct Range {
    std::vector<int64_t> min, opt, max;
  };
  struct Tensor {
    std::string name;
    nvinfer1::DataType dtype;
    bool is_input;
    std::vector<Range> ranges;  // inputs only: in each profile; one of the profiles left out is as in the first
    bool host = false;          // inputs: a shape tensor, in host memory
    std::vector<Range> values;  // of a shape tensor: in each profile
    int vectorized = -1;        // inputs: not in the linear format in this profile and later ones; -1: linear in all
    // Outputs: bias + the terms, element by element, in the shape of the first term's input; or their sum, of rank
    // `sum_rank`; or the positions of the first term's elements that are not 0, [its rank, as many as there are]; or
    // the first term's elements again and again, in the shape that the values of the shape tensor `shape_from` say.
    bool sum = false;
    int sum_rank = 0;
    bool nonzero = false;
    int shape_from = -1;  // index of that input; -1: none
    double bias = 0;
    std::vector<Term> terms;
    std::string scale, offset;  // weights whose first element all factors are multiplied with, and added to the bias
    int alias = -1;             // index of the input whose memory this output takes; -1: none
  };

  int version[4] = {};
  int compute = 0;  // 10 * major + minor; 0: any
  std::string platform = "linux_x86_64";
  bool streaming = false;
  int64_t streamable = 0, resident = 0, scratch = 0;
  std::vector<int64_t> contexts;  // in each profile; likewise
  bool capturable = true;
  struct Weight {
    std::string name;
    nvinfer1::DataType dtype;
    int64_t count;
    std::vector<uint8_t> bytes;  // empty: the plan lacks it
  };
  enum Refittable { kNot, kIdentical, kAny };
  int refittable = kNot;
  std::vector<Weight> weights;                     // that a refitter knows
  std::vector<std::vector<std::string>> together;  // names of which none is set alone
  std::string text;                                // what this was read from

  const Weight* find_weight(const std::string& name) const;
  bool lacks_weights() const;
  double first_of(const std::string& weight, double otherwise) const;  // `otherwise`: no weight is named

  std::vector<Tensor> tensors;  // inputs and outputs in the plan's order

  int profiles() const;
  const Range& range(const Tensor& input, int profile) const;
  const Range& values(const Tensor& input, int profile) const;
  bool is_dynamic(const Tensor& input, size_t dimension) const;  // in the network
  int64_t context() const;                                       // the largest
};

inline constexpr char kPlanTag[13] = "STANDIN-PLAN";  // after the four bytes of magic
inline constexpr size_t kPlanHeaderSize = 32;

/// Reads the text that follows the header. Empty on success, else what is wrong with it.
std::string parse_plan_text(const std::string& text, Plan& plan);

/// CRC-32 as in zlib, continued from `crc` (0 at the start).
uint32_t crc32(uint32_t crc, const void* data, size_t size);

size_t element_size(nvinfer1::DataType dtype);

}  // namespace standin
