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

using executorch::aten::SizesType;

nb::dlpack::dtype to_dlpack(const Dtype& dtype) {
  return {dtype.dlpack_code, static_cast<uint8_t>(8 * dtype.bytes), 1};
}

const Dtype* find_dtype(nb::dlpack::dtype wanted) {
  for (const Dtype& known : kDtypes) {
    if (to_dlpack(known) == wanted) return &known;
  }
  return nullptr;
}

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

}  // namespace

executorch::extension::TensorPtr view_array(const InputArray& array, size_t position) {
  const Dtype* dtype = find_dtype(array.dtype());
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
  const Dtype* dtype = torchtrt_ws::find_dtype(tensor.scalar_type());
  if (dtype == nullptr) {
    throw NativeError("NotSupported", "output", "a dtype that DLPack does not name", "one that it names",
                      "Cast the output in the model.");
  }
  auto bytes = std::make_unique<char[]>(tensor.nbytes() + 1);  // never empty: a null pointer is no array
  if (tensor.nbytes() > 0) std::memcpy(bytes.get(), tensor.const_data_ptr(), tensor.nbytes());
  std::vector<size_t> shape(tensor.sizes().begin(), tensor.sizes().end());
  char* data = bytes.release();
  nb::capsule owner(data, [](void* memory) noexcept { delete[] static_cast<char*>(memory); });
  if (dtype->in_numpy) {
    return nb::cast(nb::ndarray<nb::numpy>(data, shape.size(), shape.data(), owner, nullptr, to_dlpack(*dtype)));
  }
  return nb::cast(nb::ndarray<nb::array_api>(data, shape.size(), shape.data(), owner, nullptr, to_dlpack(*dtype)));
}

}  // namespace torchtrt_ws::python
