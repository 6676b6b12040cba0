#include "python/arrays.h"

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/dtype.h"
#include "python/program.h"

namespace torchtrt_ws::python {
namespace nb = nanobind;
namespace {

using executorch::aten::ScalarType;
using executorch::aten::SizesType;

struct DtypePair {
  ScalarType type;
  nb::dlpack::dtype dlpack;
};

constexpr uint8_t code(nb::dlpack::dtype_code value) { return static_cast<uint8_t>(value); }

// DLPack 1.1's codes of the float8 types (dlpack.h); nanobind names only some of them.
constexpr uint8_t kFloat8E4m3fn = 10;
constexpr uint8_t kFloat8E5m2 = 12;

const DtypePair kDtypes[] = {
    {ScalarType::Float, {code(nb::dlpack::dtype_code::Float), 32, 1}},
    {ScalarType::Double, {code(nb::dlpack::dtype_code::Float), 64, 1}},
    {ScalarType::Half, {code(nb::dlpack::dtype_code::Float), 16, 1}},
    {ScalarType::BFloat16, {code(nb::dlpack::dtype_code::Bfloat), 16, 1}},
    {ScalarType::Char, {code(nb::dlpack::dtype_code::Int), 8, 1}},
    {ScalarType::Short, {code(nb::dlpack::dtype_code::Int), 16, 1}},
    {ScalarType::Int, {code(nb::dlpack::dtype_code::Int), 32, 1}},
    {ScalarType::Long, {code(nb::dlpack::dtype_code::Int), 64, 1}},
    {ScalarType::Byte, {code(nb::dlpack::dtype_code::UInt), 8, 1}},
    {ScalarType::UInt16, {code(nb::dlpack::dtype_code::UInt), 16, 1}},
    {ScalarType::UInt32, {code(nb::dlpack::dtype_code::UInt), 32, 1}},
    {ScalarType::UInt64, {code(nb::dlpack::dtype_code::UInt), 64, 1}},
    {ScalarType::Bool, {code(nb::dlpack::dtype_code::Bool), 8, 1}},
    {ScalarType::Float8_e4m3fn, {kFloat8E4m3fn, 8, 1}},
    {ScalarType::Float8_e5m2, {kFloat8E5m2, 8, 1}},
};

NativeError refused(size_t position, const std::string& found, const std::string& expected) {
  return NativeError("InvalidArgument", "input " + std::to_string(position), found, expected, "Convert it first.");
}

bool is_contiguous(const InputArray& array) {
  int64_t stride = 1;
  for (size_t i = array.ndim(); i-- > 0;) {
    if (array.shape(i) != 1 && array.stride(i) != stride) return array.size() == 0;
    stride *= static_cast<int64_t>(array.shape(i));
  }
  return true;
}

bool numpy_has(ScalarType type) {
  return type != ScalarType::BFloat16 && type != ScalarType::Float8_e4m3fn && type != ScalarType::Float8_e5m2;
}

}  // namespace

executorch::extension::TensorPtr view_array(const InputArray& array, size_t position) {
  const DtypePair* dtype = nullptr;
  for (const DtypePair& known : kDtypes) {
    if (array.dtype() == known.dlpack) dtype = &known;
  }
  if (dtype == nullptr) throw refused(position, "a dtype that ExecuTorch does not have", "a real, integer or bool one");
  if (!is_contiguous(array)) throw refused(position, "strides of a view", "a contiguous array");
  std::vector<SizesType> sizes;
  for (size_t i = 0; i < array.ndim(); ++i) {
    if (array.shape(i) > static_cast<size_t>(INT32_MAX)) throw refused(position, "a dimension over 2^31-1", "less");
    sizes.push_back(static_cast<SizesType>(array.shape(i)));
  }
  return executorch::extension::make_tensor_ptr(std::move(sizes), const_cast<void*>(array.data()), dtype->type);
}

nb::object copy_output(const executorch::runtime::EValue& value) {
  if (value.isNone()) return nb::none();
  if (value.isInt()) return nb::cast(value.toInt());
  if (value.isDouble()) return nb::cast(value.toDouble());
  if (value.isBool()) return nb::cast(value.toBool());
  if (!value.isTensor()) {
    throw NativeError("NotSupported", "output", "a value that is neither a tensor nor a number", "one of these",
                      "Change what the method returns.");
  }
  const auto tensor = value.toTensor();
  const DtypePair* dtype = nullptr;
  for (const DtypePair& known : kDtypes) {
    if (tensor.scalar_type() == known.type) dtype = &known;
  }
  if (dtype == nullptr) {
    throw NativeError("NotSupported", "output", "a dtype that DLPack does not name", "one that it names",
                      "Cast the output in the model.");
  }
  auto bytes = std::make_unique<char[]>(tensor.nbytes() + 1);  // never empty: a null pointer is no array
  if (tensor.nbytes() > 0) std::memcpy(bytes.get(), tensor.const_data_ptr(), tensor.nbytes());
  std::vector<size_t> shape(tensor.sizes().begin(), tensor.sizes().end());
  char* data = bytes.release();
  nb::capsule owner(data, [](void* memory) noexcept { delete[] static_cast<char*>(memory); });
  if (numpy_has(dtype->type)) {
    return nb::cast(nb::ndarray<nb::numpy>(data, shape.size(), shape.data(), owner, nullptr, dtype->dlpack));
  }
  return nb::cast(nb::ndarray<nb::array_api>(data, shape.size(), shape.data(), owner, nullptr, dtype->dlpack));
}

}  // namespace torchtrt_ws::python
