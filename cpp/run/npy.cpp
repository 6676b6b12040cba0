#include "run/npy.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <regex>
#include <utility>

#include "base/quote.h"

namespace torchtrt_ws::run {
namespace {

using executorch::aten::ScalarType;
using executorch::aten::SizesType;

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicSize = 6;
constexpr size_t kAlignment = 64;  // of the data, as numpy writes it

struct Described {
  const char* text;
  ScalarType type;
  size_t size;  // bytes of one element
};

constexpr Described kTypes[] = {
    {"<f4", ScalarType::Float, 4},  {"<f8", ScalarType::Double, 8}, {"<f2", ScalarType::Half, 2},
    {"<i8", ScalarType::Long, 8},   {"<i4", ScalarType::Int, 4},    {"<i2", ScalarType::Short, 2},
    {"|i1", ScalarType::Char, 1},   {"|u1", ScalarType::Byte, 1},   {"|b1", ScalarType::Bool, 1},
    {"<u2", ScalarType::UInt16, 2}, {"<u4", ScalarType::UInt32, 4}, {"<u8", ScalarType::UInt64, 8},
};

Failure refused(const std::string& path, const std::string& found) {
  return {ErrorCode::BadArgument, path, found, "a .npy file: little-endian, C order, a real, integer or bool dtype",
          "Write it with numpy.save(path, numpy.ascontiguousarray(array))"};
}

const Described* find_type(const std::string& text) {
  for (const Described& known : kTypes) {
    if (text == known.text) return &known;
  }
  return nullptr;
}

/// Elements of the shape in `text` ("2, 3,"), or nothing when it is no shape or is absurd.
std::optional<std::vector<SizesType>> parse_shape(const std::string& text) {
  std::vector<SizesType> shape;
  const std::regex number("\\d+");
  for (auto it = std::sregex_iterator(text.begin(), text.end(), number); it != std::sregex_iterator(); ++it) {
    if (it->length() > 9) return std::nullopt;
    shape.push_back(std::stoi(it->str()));
  }
  return shape;
}

std::optional<size_t> bytes_of(const std::vector<SizesType>& shape, size_t element) {
  size_t bytes = element;
  for (const SizesType size : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<size_t>(size), &bytes)) return std::nullopt;
  }
  return bytes;
}

/// The header's text and where the data starts.
std::optional<std::pair<std::string, size_t>> read_header(const std::vector<char>& file) {
  if (file.size() < 10 || std::memcmp(file.data(), kMagic, kMagicSize) != 0) return std::nullopt;
  const bool short_header = file[6] == 1;
  const size_t start = short_header ? 10 : 12;
  uint32_t size = 0;
  if (file.size() < start) return std::nullopt;
  std::memcpy(&size, file.data() + 8, short_header ? 2 : 4);
  if (size > file.size() - start) return std::nullopt;
  return std::make_pair(std::string(file.data() + start, size), start + size);
}

}  // namespace

Result<Array> read_npy(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return refused(path, std::strerror(errno));
  const std::vector<char> file((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  const auto header = read_header(file);
  if (!header) return refused(path, "no .npy header");
  std::smatch match;
  const std::regex form("'descr':\\s*'([^']+)'.*'fortran_order':\\s*(True|False).*'shape':\\s*\\(([^)]*)\\)");
  if (!std::regex_search(header->first, match, form)) return refused(path, "a header of another form");
  const Described* type = find_type(match[1]);
  if (type == nullptr) return refused(path, "dtype " + torchtrt_ws::quoted(match[1].str()));
  auto shape = parse_shape(match[3]);
  if (!shape) return refused(path, "shape " + torchtrt_ws::quoted(match[3].str()));
  if (match[2] == "True" && shape->size() > 1) return refused(path, "Fortran order");
  const auto bytes = bytes_of(*shape, type->size);
  if (!bytes || file.size() - header->second != *bytes) {
    return refused(path, std::to_string(file.size() - header->second) + " bytes of data");
  }
  return Array{type->type, std::move(*shape),
               std::vector<char>(file.begin() + static_cast<ptrdiff_t>(header->second), file.end())};
}

Status write_npy(const std::string& path, const executorch::aten::Tensor& tensor) {
  const Described* type = nullptr;
  for (const Described& known : kTypes) {
    if (known.type == tensor.scalar_type()) type = &known;
  }
  const std::string descr = type != nullptr ? type->text : (tensor.element_size() == 2 ? "<u2" : "|u1");
  std::string shape;
  for (const auto size : tensor.sizes()) shape += std::to_string(size) + ",";
  std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  const size_t unpadded = kMagicSize + 4 + header.size() + 1;
  header += std::string((kAlignment - unpadded % kAlignment) % kAlignment, ' ') + "\n";
  const auto size = static_cast<uint16_t>(header.size());
  std::ofstream stream(path, std::ios::binary);
  stream.write(kMagic, kMagicSize).write("\x01\x00", 2).write(reinterpret_cast<const char*>(&size), sizeof(size));
  stream.write(header.data(), static_cast<std::streamsize>(header.size()));
  stream.write(static_cast<const char*>(tensor.const_data_ptr()), static_cast<std::streamsize>(tensor.nbytes()));
  stream.close();
  if (!stream) {
    return Failure{ErrorCode::BadArgument, path, std::strerror(errno), "a file that can be written",
                   "Choose another --output folder"};
  }
  return ok_status();
}

}  // namespace torchtrt_ws::run
