#pragma once

#include <executorch/runtime/core/freeable_buffer.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace torchtrt_ws::testing {

/// A file whose parts are mapped, as ExecuTorch maps the segments of a program.
class MappedFile {
 public:
  explicit MappedFile(const std::vector<char>& bytes) : size_(bytes.size()) {
    static int count = 0;
    path_ = "/tmp/mapped_file_" + std::to_string(getpid()) + "_" + std::to_string(count++);
    std::ofstream(path_, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(size_));
  }
  ~MappedFile() {
    for (void* mapping : mappings_) munmap(mapping, size_);
    std::remove(path_.c_str());
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// What begins `offset` bytes into the file, up to its end; mapped anew.
  executorch::runtime::FreeableBuffer map(size_t offset = 0) {
    const int file = open(path_.c_str(), O_RDONLY);
    mappings_.push_back(mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0));
    close(file);
    return {static_cast<char*>(mappings_.back()) + offset, size_ - offset, nullptr};
  }

 private:
  std::string path_;
  size_t size_;
  std::vector<void*> mappings_;
};

}  // namespace torchtrt_ws::testing
