// Inputs and outputs in files: raw little-endian bytes, as numpy's tofile() writes and fromfile() reads them.
#pragma once

#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/executor/method_meta.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

/// "dtype=Float shape=2x1024", of a tensor or of its declaration.
template <typename Tensor>
std::string described(const Tensor& tensor, char separator = ' ') {
  std::string shape;
  for (const auto size : tensor.sizes()) shape += (shape.empty() ? "" : "x") + std::to_string(size);
  return std::string("dtype=") + executorch::runtime::toString(tensor.scalar_type()) + separator + "shape=" + shape;
}

/// `text` is FILE, or FILE:2x32 for a shape within the declared one; empty for zeros.
inline executorch::extension::TensorPtr read_tensor(const std::string& text,
                                                    const executorch::runtime::TensorInfo& declared) {
  const auto largest = declared.sizes();
  std::vector<int32_t> shape(largest.begin(), largest.end());
  const size_t colon = text.rfind(':');
  const bool shaped = colon != text.npos && text.find_first_not_of("0123456789x", colon + 1) == text.npos;
  if (shaped) {
    shape.clear();
    std::istringstream sizes(text.substr(colon + 1));
    char x = 'x';
    for (int32_t size = 0; sizes >> size; sizes >> x) shape.push_back(size);
  }
  if (!std::equal(shape.begin(), shape.end(), largest.begin(), largest.end(), std::less_equal<>())) {
    throw std::runtime_error(text + ": expected a shape within " + described(declared));
  }
  size_t bytes = executorch::runtime::elementSize(declared.scalar_type());
  for (const int32_t size : shape) bytes *= static_cast<size_t>(size);  // at most the declared one's: it fits

  std::vector<uint8_t> data(bytes);
  if (text.empty()) return executorch::extension::make_tensor_ptr(shape, std::move(data), declared.scalar_type());

  const std::string path = shaped ? text.substr(0, colon) : text;
  std::error_code error;
  const auto found = std::filesystem::file_size(path, error);
  if (error) throw std::runtime_error(path + ": " + error.message());
  if (found != bytes) {
    throw std::runtime_error(text + ": found " + std::to_string(found) + " bytes; expected " + std::to_string(bytes) +
                             " for " + described(declared) + ", or FILE:SHAPE with a smaller shape");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(data.data()), static_cast<std::streamsize>(bytes))) {
    throw std::runtime_error(path + ": cannot be read");
  }
  return executorch::extension::make_tensor_ptr(shape, std::move(data), declared.scalar_type());
}

inline void write_tensor(const std::string& folder, size_t index, const executorch::aten::Tensor& tensor) {
  const std::string path = folder + "/output" + std::to_string(index) + ".bin";
  std::error_code error;  // the file below tells of it too
  std::filesystem::create_directories(folder, error);
  std::ofstream file(path, std::ios::binary);
  if (!file.write(static_cast<const char*>(tensor.const_data_ptr()), static_cast<std::streamsize>(tensor.nbytes()))
           .flush()) {
    throw std::runtime_error(path + ": cannot be written");
  }
}
