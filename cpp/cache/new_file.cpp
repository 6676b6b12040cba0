#include "cache/new_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace torchtrt_ws {

Result<NewFile> NewFile::begin(const CacheFolder& folder, const std::string& name) {
  const std::string path = folder.path() + "/" + name;
  std::string temporary = path + ".XXXXXX";
  Descriptor file(mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) return unusable_cache(temporary, std::strerror(errno));
  return NewFile(path, std::move(temporary), std::move(file));
}

NewFile::~NewFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Status NewFile::append(const void* data, size_t size) {
  Status done = overwrite(written_, data, size);
  written_ += size;
  return done;
}

Status NewFile::overwrite(uint64_t offset, const void* data, size_t size) {
  const auto* const bytes = static_cast<const uint8_t*>(data);
  for (size_t done = 0; done < size;) {
    const ssize_t wrote = pwrite(file_.get(), bytes + done, size - done, static_cast<off_t>(offset + done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return unusable_cache(path_, std::strerror(wrote < 0 ? errno : ENOSPC));
    done += static_cast<size_t>(wrote);
  }
  return ok_status();
}

Status NewFile::finish() {
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) return unusable_cache(path_, std::strerror(errno));
  temporary_.clear();
  return ok_status();
}

}  // namespace torchtrt_ws
