#include "cache/refit_cache_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <future>

#include "cache/little_endian.h"
#include "cache/new_file.h"
#include "digest/crc32c.h"
#include "digest/sha256.h"

namespace torchtrt_ws {
namespace {

constexpr char kMagic[] = {'t', 'w', 's', 'r', 'f', 't', '0', '1'};
constexpr size_t kNameSizeField = 8;
constexpr size_t kPlanCrcField = 12;
constexpr size_t kPlanSizeField = 16;
constexpr size_t kVerifiedField = 24;
constexpr size_t kHeaderCrcField = 28;
constexpr size_t kDigestField = 32;
constexpr size_t kDigestSize = 64;
constexpr size_t kNameField = kDigestField + kDigestSize;
constexpr size_t kPage = 4096;
constexpr uint64_t kPiece = uint64_t{16} << 20;  // bytes

using Page = std::array<uint8_t, kPage>;

uint32_t checksum(const Page& page) {
  Crc32c crc;
  crc.update(page.data(), kHeaderCrcField);
  crc.update(page.data() + kDigestField, kPage - kDigestField);
  return crc.value();
}

uint64_t strictness(Verify verify) { return verify == Verify::Digest ? 2 : 1; }

struct Header {
  uint32_t crc32c;
  std::string sha256;
};

/// nullopt unless the file is as it was written under this name.
std::optional<Header> read_header(const Page& page, const std::string& name, uint64_t file_size, Verify verify) {
  const auto field = [&page](size_t at, size_t bytes) { return get_little_endian(page.data() + at, bytes); };
  if (std::memcmp(page.data(), kMagic, sizeof(kMagic)) != 0 || field(kHeaderCrcField, 4) != checksum(page)) return {};
  const bool named = field(kNameSizeField, 4) == name.size() && name.size() <= kPage - kNameField &&
                     std::memcmp(page.data() + kNameField, name.data(), name.size()) == 0;
  if (!named || field(kPlanSizeField, 8) != file_size - kPage) return {};
  if (field(kVerifiedField, 4) < strictness(verify)) return {};
  return Header{static_cast<uint32_t>(field(kPlanCrcField, 4)),
                std::string(page.begin() + kDigestField, page.begin() + kNameField)};
}

Page make_header(const std::string& name, uint64_t size, Verify verified, uint32_t crc, const std::string& sha256) {
  Page page{};
  std::memcpy(page.data(), kMagic, sizeof(kMagic));
  put_little_endian(page.data() + kNameSizeField, name.size(), 4);
  put_little_endian(page.data() + kPlanCrcField, crc, 4);
  put_little_endian(page.data() + kPlanSizeField, size, 8);
  put_little_endian(page.data() + kVerifiedField, strictness(verified), 4);
  std::memcpy(page.data() + kDigestField, sha256.data(), kDigestSize);
  std::memcpy(page.data() + kNameField, name.data(), name.size());
  put_little_endian(page.data() + kHeaderCrcField, checksum(page), 4);
  return page;
}

/// Begun in a thread of its own, where there is one to be had: it takes longer than the writing.
std::future<std::string> digest_of(const uint8_t* plan, uint64_t size) {
  const auto compute = [plan, size] { return sha256_hex(plan, static_cast<size_t>(size)); };
  try {
    return std::async(std::launch::async, compute);
  } catch (const std::system_error&) {
    return std::async(std::launch::deferred, compute);
  }
}

}  // namespace

CachedPlan::CachedPlan(void* mapping, uint64_t mapped, const uint8_t* data, uint32_t crc32c, std::string sha256)
    : mapping_(mapping),
      mapped_(mapped),
      data_(data),
      size_(mapped - static_cast<uint64_t>(data - static_cast<uint8_t*>(mapping))),
      crc32c_(crc32c),
      sha256_(std::move(sha256)) {}

CachedPlan::CachedPlan(CachedPlan&& other) noexcept
    : mapping_(std::exchange(other.mapping_, nullptr)),
      mapped_(other.mapped_),
      data_(other.data_),
      size_(other.size_),
      crc32c_(other.crc32c_),
      sha256_(std::move(other.sha256_)) {}

CachedPlan::~CachedPlan() {
  if (mapping_ != nullptr) munmap(mapping_, static_cast<size_t>(mapped_));
}

Result<RefitCacheFile> RefitCacheFile::in(const std::string& folder, const CacheKey& key) {
  auto opened = CacheFolder::open(folder);
  if (!opened.ok()) return std::move(opened).failure();
  return RefitCacheFile(std::move(opened).value(), cache_file_name(key, ".refit"));
}

Result<std::optional<CachedPlan>> RefitCacheFile::find(Verify verify) const {
  std::optional<CachedPlan> none;
  auto file = folder_.open_file(name_);
  if (!file.ok()) return std::move(file).failure();
  if (!file.value()) return none;
  const int descriptor = file.value().get();
  struct stat info{};
  Page page{};
  if (fstat(descriptor, &info) != 0 || info.st_size <= static_cast<off_t>(kPage)) return none;
  if (pread(descriptor, page.data(), kPage, 0) != static_cast<ssize_t>(kPage)) return none;
  const auto size = static_cast<uint64_t>(info.st_size);
  auto header = read_header(page, name_, size, verify);
  if (!header) return none;
  void* const mapping = mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (mapping == MAP_FAILED) return unusable_cache(path(), std::strerror(errno));
  (void)futimens(descriptor, nullptr);  // evict() goes by it
  return std::optional<CachedPlan>(CachedPlan(mapping, size, static_cast<const uint8_t*>(mapping) + kPage,
                                              header->crc32c, std::move(header->sha256)));
}

Result<bool> RefitCacheFile::write(const void* plan, uint64_t size, Verify verified) const {
  if (!folder_.is_writable() || size == 0 || verified == Verify::Off) return false;
  const auto lock = folder_.lock(name_, 0);
  if (!lock.ok()) return false;
  folder_.remove_leftovers(name_);
  auto file = NewFile::begin(folder_, name_);
  if (!file.ok()) return std::move(file).failure();
  const auto* const bytes = static_cast<const uint8_t*>(plan);
  std::future<std::string> digest = digest_of(bytes, size);
  Status done = file.value().append(Page{}.data(), kPage);
  Crc32c crc;
  for (uint64_t from = 0; done.ok() && from < size; from += kPiece) {
    const auto piece = static_cast<size_t>(std::min(kPiece, size - from));
    crc.update(bytes + from, piece);
    done = file.value().append(bytes + from, piece);
  }
  const Page header = make_header(name_, size, verified, crc.value(), digest.get());
  if (done.ok()) done = file.value().overwrite(0, header.data(), kPage);
  if (done.ok()) done = file.value().finish();
  if (!done.ok()) return std::move(done).failure();
  folder_.evict(name_);
  return true;
}

void RefitCacheFile::remove() const noexcept { (void)unlink(path().c_str()); }

}  // namespace torchtrt_ws
