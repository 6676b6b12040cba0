#include "standin_plan.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "compute.h"

namespace standin {
namespace {

using nvinfer1::DataType;

struct Name {
  const char* name;
  DataType dtype;
  size_t size;
};

// torch's names without "torch."
constexpr Name kDtypes[] = {
    {"float32", DataType::kFLOAT, 4}, {"float16", DataType::kHALF, 2}, {"bfloat16", DataType::kBF16, 2},
    {"int8", DataType::kINT8, 1},     {"uint8", DataType::kUINT8, 1},  {"int32", DataType::kINT32, 4},
    {"int64", DataType::kINT64, 8},   {"bool", DataType::kBOOL, 1},    {"float8_e4m3fn", DataType::kFP8, 1},
    {"int4", DataType::kINT4, 1},  // half a byte in truth; only for plans that are refused
};

bool read_dtype(std::istream& in, DataType& dtype) {
  std::string word;
  in >> word;
  for (const Name& known : kDtypes) {
    if (word == known.name) {
      dtype = known.dtype;
      return true;
    }
  }
  return false;
}

// "2,4"; "-" for 0-d
bool read_shape(std::istream& in, std::vector<int64_t>& shape) {
  std::string word, number;
  if (!(in >> word)) return false;
  if (word == "-") return true;
  std::istringstream numbers(word);
  while (std::getline(numbers, number, ',')) shape.push_back(std::stoll(number));
  return !shape.empty() && shape.size() <= static_cast<size_t>(nvinfer1::Dims::MAX_DIMS);
}

bool read_values(std::istream& in, Plan::Tensor& input) {
  Plan::Range range;
  if (!read_shape(in, range.min) || !read_shape(in, range.opt) || !read_shape(in, range.max)) return false;
  input.values.push_back(std::move(range));
  return true;
}

bool read_range(std::istream& in, Plan::Tensor& input) {
  Plan::Range range;
  if (!read_shape(in, range.min) || !read_shape(in, range.opt) || !read_shape(in, range.max)) return false;
  const size_t rank = input.ranges.empty() ? range.max.size() : input.ranges[0].max.size();
  if (range.min.size() != rank || range.opt.size() != rank || range.max.size() != rank) return false;
  input.ranges.push_back(std::move(range));
  return true;
}

int find_input(const Plan& plan, const std::string& name) {
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    if (plan.tensors[i].is_input && plan.tensors[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

// "2*x" or "x"
bool read_term(const Plan& plan, const std::string& word, Plan::Tensor& output) {
  size_t star = word.find('*');
  int input = find_input(plan, star == std::string::npos ? word : word.substr(star + 1));
  if (input < 0) return false;
  output.terms.push_back({star == std::string::npos ? 1.0 : std::stod(word), static_cast<size_t>(input)});
  return true;
}

bool read_output(std::istream& in, const Plan& plan, Plan::Tensor& output) {
  std::string word;
  if (!(in >> output.name) || !read_dtype(in, output.dtype) || !(in >> word)) return false;
  if (word != "affine" && word != "sum" && word != "sum1" && word != "nonzero") return false;
  output.sum = word == "sum" || word == "sum1";
  output.sum_rank = word == "sum1" ? 1 : 0;
  output.nonzero = word == "nonzero";
  if (!(in >> output.bias)) return false;
  while (in >> word) {
    if (word == "scale" || word == "offset") {
      std::string& weight = word == "scale" ? output.scale : output.offset;
      if (!(in >> weight) || plan.find_weight(weight) == nullptr) return false;
      continue;
    }
    if (word != "alias" && word != "shape") {
      if (!read_term(plan, word, output)) return false;
      continue;
    }
    int& whose = word == "alias" ? output.alias : output.shape_from;
    if (!(in >> word)) return false;
    whose = find_input(plan, word);
    if (whose < 0) return false;
  }
  return !output.terms.empty();
}

// "vectorized:1": from profile 1 on
void read_flag(const std::string& flag, Plan::Tensor& input) {
  if (flag == "host") input.host = true;
  if (flag.compare(0, 10, "vectorized") == 0) input.vectorized = flag.size() > 11 ? std::stoi(flag.substr(11)) : 0;
}

// A further profile of an input, or the values of one.
bool read_profile(std::istream& in, Plan& plan, bool values) {
  std::string name;
  const int input = in >> name ? find_input(plan, name) : -1;
  if (input < 0) return false;
  Plan::Tensor& tensor = plan.tensors[static_cast<size_t>(input)];
  return values ? read_values(in, tensor) : read_range(in, tensor);
}

bool read_sizes(std::istream& in, std::vector<int64_t>& sizes) {
  sizes.clear();
  for (int64_t size; in >> size;) sizes.push_back(size);
  return !sizes.empty();
}

// "NAME DTYPE COUNT", and the bytes in hexadecimal digits where the plan has them
bool read_weight(std::istream& in, Plan& plan) {
  Plan::Weight weight{};
  std::string hex;
  if (!(in >> weight.name) || !read_dtype(in, weight.dtype) || !(in >> weight.count) || weight.count < 1) return false;
  if (in >> hex) {
    for (size_t i = 0; i + 1 < hex.size(); i += 2) {
      weight.bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    }
    if (weight.bytes.size() != static_cast<size_t>(weight.count) * element_size(weight.dtype)) return false;
  }
  plan.weights.push_back(std::move(weight));
  return true;
}

bool read_line(const std::string& line, Plan& plan) {
  std::istringstream in(line);
  std::string key;
  in >> key;
  if (key == "compute") return static_cast<bool>(in >> plan.compute);
  if (key == "platform") return static_cast<bool>(in >> plan.platform);
  if (key == "streaming") return static_cast<bool>(in >> plan.streaming);
  if (key == "streamable") return static_cast<bool>(in >> plan.streamable);
  if (key == "resident") return static_cast<bool>(in >> plan.resident);
  if (key == "scratch") return static_cast<bool>(in >> plan.scratch);
  if (key == "context") return read_sizes(in, plan.contexts);
  if (key == "profile" || key == "values") return read_profile(in, plan, key == "values");
  if (key == "refittable") return static_cast<bool>(in >> plan.refittable);
  if (key == "together") {
    auto& names = plan.together.emplace_back();
    for (std::string name; in >> name;) names.push_back(name);
    return names.size() > 1;
  }
  if (key == "weight") return read_weight(in, plan);
  if (key == "capturable") return static_cast<bool>(in >> plan.capturable);
  Plan::Tensor tensor{};
  tensor.alias = -1;
  tensor.is_input = key == "input";
  if (tensor.is_input) {
    if (!(in >> tensor.name) || !read_dtype(in, tensor.dtype) || !read_range(in, tensor)) return false;
    for (std::string flag; in >> flag;) read_flag(flag, tensor);
  } else if (key != "output" || !read_output(in, plan, tensor)) {
    return false;
  }
  plan.tensors.push_back(std::move(tensor));
  return true;
}

}  // namespace

const Plan::Weight* Plan::find_weight(const std::string& name) const {
  const auto found =
      std::find_if(weights.begin(), weights.end(), [&](const Weight& each) { return each.name == name; });
  return found == weights.end() ? nullptr : &*found;
}

bool Plan::lacks_weights() const {
  return std::any_of(weights.begin(), weights.end(), [](const Weight& each) { return each.bytes.empty(); });
}

double Plan::first_of(const std::string& weight, double otherwise) const {
  const Weight* found = weight.empty() ? nullptr : find_weight(weight);
  if (found == nullptr || found->bytes.empty()) return otherwise;
  return load_first(found->bytes.data(), found->dtype);
}

int Plan::profiles() const {
  size_t most = 1;
  for (const Tensor& tensor : tensors) most = std::max({most, tensor.ranges.size(), tensor.values.size()});
  return static_cast<int>(most);
}

const Plan::Range& Plan::range(const Tensor& input, int profile) const {
  const auto at = static_cast<size_t>(profile);
  return input.ranges[at < input.ranges.size() ? at : 0];
}

const Plan::Range& Plan::values(const Tensor& input, int profile) const {
  const auto at = static_cast<size_t>(profile);
  return input.values[at < input.values.size() ? at : 0];
}

bool Plan::is_dynamic(const Tensor& input, size_t dimension) const {
  return std::any_of(input.ranges.begin(), input.ranges.end(), [&](const Range& range) {
    return range.min[dimension] != range.max[dimension] || range.min[dimension] != input.ranges[0].min[dimension];
  });
}

int64_t Plan::context() const { return contexts.empty() ? 0 : *std::max_element(contexts.begin(), contexts.end()); }

std::string parse_plan_text(const std::string& text, Plan& plan) {
  plan.text = text;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && !read_line(line, plan)) return "cannot read the line '" + line + "'";
  }
  return plan.tensors.empty() ? "no inputs or outputs" : "";
}

uint32_t crc32(uint32_t crc, const void* data, size_t size) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> made{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? 0xEDB88320u ^ (value >> 1) : value >> 1;
      made[i] = value;
    }
    return made;
  }();
  crc = ~crc;
  const auto* bytes = static_cast<const uint8_t*>(data);
  for (size_t i = 0; i < size; ++i) crc = table[(crc ^ bytes[i]) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

size_t element_size(DataType dtype) {
  for (const Name& known : kDtypes) {
    if (known.dtype == dtype) return known.size;
  }
  return 0;
}

}  // namespace standin
