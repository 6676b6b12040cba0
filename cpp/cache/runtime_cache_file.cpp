#include "cache/runtime_cache_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cache/little_endian.h"
#include "cache/new_file.h"
#include "digest/crc32c.h"

namespace torchtrt_ws {
namespace {

constexpr char kMagic[] = {'t', 'w', 's', 'r', 't', 'c', '0', '1'};
constexpr size_t kHeaderSize = 24;
constexpr uint64_t kMost = uint64_t{1} << 30;  // bytes of a file; caches are some kB to some MB

uint32_t checksum(const std::string& name, const void* data, size_t size) {
  Crc32c crc;
  crc.update(name.data(), name.size());
  crc.update(data, size);
  return crc.value();
}

/// The cache in a file's bytes; empty unless they are as they were written under this name.
std::vector<uint8_t> unpacked(const std::vector<uint8_t>& file, const std::string& name) {
  if (file.size() < kHeaderSize || std::memcmp(file.data(), kMagic, sizeof(kMagic)) != 0) return {};
  if (get_little_endian(file.data() + 8, 4) != name.size() || file.size() - kHeaderSize < name.size()) return {};
  const size_t start = kHeaderSize + name.size();
  const size_t size = file.size() - start;
  const uint8_t* const data = file.data() + start;
  if (get_little_endian(file.data() + 16, 8) != size ||
      std::memcmp(file.data() + kHeaderSize, name.data(), name.size()) != 0) {
    return {};
  }
  if (get_little_endian(file.data() + 12, 4) != checksum(name, data, size)) return {};
  return {file.begin() + static_cast<std::ptrdiff_t>(start), file.end()};
}

std::vector<uint8_t> packed(const std::string& name, const void* data, size_t size) {
  std::vector<uint8_t> file(kHeaderSize + name.size() + size);
  std::memcpy(file.data(), kMagic, sizeof(kMagic));
  put_little_endian(file.data() + 8, name.size(), 4);
  put_little_endian(file.data() + 12, checksum(name, data, size), 4);
  put_little_endian(file.data() + 16, size, 8);
  std::memcpy(file.data() + kHeaderSize, name.data(), name.size());
  std::memcpy(file.data() + kHeaderSize + name.size(), data, size);
  return file;
}

std::vector<uint8_t> all_of(int file) {
  struct stat info{};
  if (fstat(file, &info) != 0 || info.st_size <= 0 || static_cast<uint64_t>(info.st_size) > kMost) return {};
  std::vector<uint8_t> bytes(static_cast<size_t>(info.st_size));
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = pread(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return {};
    done += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace

std::string runtime_cache_name(const CacheKey& key) { return cache_file_name(key, ".runtime"); }

Result<RuntimeCacheFile> RuntimeCacheFile::in(const std::string& folder, const CacheKey& key) {
  auto opened = CacheFolder::open(folder);
  if (!opened.ok()) return std::move(opened).failure();
  return RuntimeCacheFile(std::move(opened).value(), runtime_cache_name(key));
}

Result<std::vector<uint8_t>> RuntimeCacheFile::read() const {
  auto file = folder_.open_file(name_);
  if (!file.ok()) return std::move(file).failure();
  if (!file.value()) return std::vector<uint8_t>();
  std::vector<uint8_t> found = unpacked(all_of(file.value().get()), name_);
  if (!found.empty()) (void)futimens(file.value().get(), nullptr);  // evict() goes by it
  return found;
}

Result<bool> RuntimeCacheFile::write(const void* data, size_t size, bool replace) const {
  if (!folder_.is_writable() || size == 0 || size > kMost - kHeaderSize - name_.size()) return false;
  const auto lock = folder_.lock(name_, 0);
  if (!lock.ok()) return false;
  folder_.remove_leftovers(name_);
  if (!replace) {
    const auto there = read();
    if (there.ok() && there.value().size() >= size) return false;
  }
  auto file = NewFile::begin(folder_, name_);
  if (!file.ok()) return std::move(file).failure();
  const std::vector<uint8_t> bytes = packed(name_, data, size);
  Status done = file.value().append(bytes.data(), bytes.size());
  if (done.ok()) done = file.value().finish();
  if (!done.ok()) return std::move(done).failure();
  folder_.evict(name_);
  return true;
}

}  // namespace torchtrt_ws
