#include "cache/runtime_cache_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "digest/crc32c.h"
#include "digest/sha256.h"

namespace torchtrt_ws {
namespace {

constexpr char kMagic[] = {'t', 'w', 's', 'r', 't', 'c', '0', '1'};
constexpr size_t kHeaderSize = 24;
constexpr uint64_t kMost = uint64_t{1} << 30;  // bytes of a file; caches are some kB to some MB

void put(uint8_t* at, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) at[i] = static_cast<uint8_t>(value >> (8 * i));
}

uint64_t get(const uint8_t* at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(at[i]) << (8 * i);
  return value;
}

uint32_t checksum(const std::string& name, const void* data, size_t size) {
  Crc32c crc;
  crc.update(name.data(), name.size());
  crc.update(data, size);
  return crc.value();
}

/// The cache in a file's bytes; empty unless they are as they were written under this name.
std::vector<uint8_t> unpacked(const std::vector<uint8_t>& file, const std::string& name) {
  if (file.size() < kHeaderSize || std::memcmp(file.data(), kMagic, sizeof(kMagic)) != 0) return {};
  if (get(file.data() + 8, 4) != name.size() || file.size() - kHeaderSize < name.size()) return {};
  const size_t start = kHeaderSize + name.size();
  const size_t size = file.size() - start;
  const uint8_t* const data = file.data() + start;
  if (get(file.data() + 16, 8) != size || std::memcmp(file.data() + kHeaderSize, name.data(), name.size()) != 0) {
    return {};
  }
  if (get(file.data() + 12, 4) != checksum(name, data, size)) return {};
  return {file.begin() + static_cast<std::ptrdiff_t>(start), file.end()};
}

std::vector<uint8_t> packed(const std::string& name, const void* data, size_t size) {
  std::vector<uint8_t> file(kHeaderSize + name.size() + size);
  std::memcpy(file.data(), kMagic, sizeof(kMagic));
  put(file.data() + 8, name.size(), 4);
  put(file.data() + 12, checksum(name, data, size), 4);
  put(file.data() + 16, size, 8);
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

bool write_all(int file, const std::vector<uint8_t>& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t wrote = write(file, bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    done += static_cast<size_t>(wrote);
  }
  return true;
}

}  // namespace

std::string runtime_cache_name(const RuntimeCacheKey& key) {
  constexpr size_t kDigits = 16;
  return key.plan + "-" + key.library + "-sm" + std::to_string(key.major) + std::to_string(key.minor) + "-" +
         sha256_hex(key.device.data(), key.device.size()).substr(0, kDigits) + ".runtime";
}

Result<RuntimeCacheFile> RuntimeCacheFile::in(const std::string& folder, const RuntimeCacheKey& key) {
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
  std::string temporary = path() + ".XXXXXX";
  const Descriptor file(mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) return unusable_cache(temporary, std::strerror(errno));
  if (!write_all(file.get(), packed(name_, data, size)) || std::rename(temporary.c_str(), path().c_str()) != 0) {
    Failure failed = unusable_cache(path(), std::strerror(errno));
    unlink(temporary.c_str());
    return failed;
  }
  folder_.evict(name_);
  return true;
}

}  // namespace torchtrt_ws
