#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "budget/request.h"

namespace torchtrt_ws {

/// One delegate of a method, as the program has it.
struct DelegateRecord {
  std::string method;
  std::string backend;           ///< Its id.
  uint64_t offset;               ///< Of its payload in the file, bytes.
  uint64_t size;                 ///< Of its payload, bytes.
  std::vector<BakedSpec> specs;  ///< Its compile specs.
};

/// The delegates of the program in `data`, in loading order: methods as in the file. Pure; every offset is checked, and
/// payloads lie within `size`. Fails with BadBlob for what is no whole ExecuTorch program; `path` names it. The Python
/// twin is torchtrt_ws/pte/layout.py.
[[nodiscard]] Result<std::vector<DelegateRecord>> read_delegates(const std::string& path, const uint8_t* data,
                                                                 uint64_t size);

/// A .pte that is mapped read-only: only what is read of it comes into memory.
class ProgramFile {
 public:
  /// Maps `path` and finds its delegates. Fails with BadBlob for what cannot be opened or is no regular file, and as
  /// read_delegates().
  static Result<ProgramFile> open(const std::string& path);

  ~ProgramFile();
  ProgramFile(ProgramFile&& other) noexcept;
  ProgramFile& operator=(ProgramFile&&) = delete;
  ProgramFile(const ProgramFile&) = delete;
  ProgramFile& operator=(const ProgramFile&) = delete;

  const std::vector<DelegateRecord>& delegates() const { return delegates_; }

  /// The payload of a delegate of this file: `size` bytes, until this goes.
  const uint8_t* payload(const DelegateRecord& delegate) const { return data_ + delegate.offset; }

 private:
  ProgramFile(const uint8_t* data, uint64_t size) : data_(data), size_(size) {}

  const uint8_t* data_;
  uint64_t size_;
  std::vector<DelegateRecord> delegates_;
};

}  // namespace torchtrt_ws
