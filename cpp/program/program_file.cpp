#include "program/program_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/descriptor.h"
#include "blob/header.h"
#include "program/flatbuffer.h"

namespace torchtrt_ws {
namespace {

// ExecuTorch 1.5.1: schema/program.fbs (fields in order, so their numbers here) and schema/extended_header.h.
constexpr std::string_view kIdentifier = "ET12";
constexpr uint64_t kIdentifierOffset = 4;
constexpr uint64_t kHeaderOffset = kIdentifierOffset + 4;
constexpr std::string_view kHeaderMagic = "eh00";
constexpr uint64_t kHeaderSize = 24;  // magic, u32 length, u64 program size, u64 segment base offset
constexpr uint8_t kInSegment = 1;     // DataLocation

namespace field {
constexpr int kPlans = 1, kInlineData = 3, kSegments = 4;              // Program
constexpr int kMethod = 0, kDelegates = 7;                             // ExecutionPlan
constexpr int kBackend = 0, kProcessed = 1, kSpecs = 2;                // BackendDelegate
constexpr int kLocation = 0, kIndex = 1;                               // BackendDelegateDataReference
constexpr int kSpecKey = 0, kSpecValue = 1;                            // CompileSpec
constexpr int kSegmentOffset = 0, kSegmentSize = 1, kInlineBytes = 0;  // DataSegment, BackendDelegateInlineData
}  // namespace field

using flatbuffer::Buffer;
using flatbuffer::Table;
using flatbuffer::Vector;

Failure damaged(const std::string& path, std::string found) {
  return {ErrorCode::BadBlob, path, std::move(found), "an ExecuTorch program (.pte, \"ET12\" at byte 4)",
          "The file is damaged or of another kind: save or copy it again"};
}

Failure unreadable(const std::string& path, std::string found) {
  return {ErrorCode::BadBlob, path, std::move(found), "a readable .pte", "Check the path"};
}

template <typename T>
T scalar_at(const uint8_t* data, uint64_t offset) {
  T value;
  std::memcpy(&value, data + offset, sizeof(T));
  return value;
}

struct Layout {
  uint64_t program_size;  // bytes that the flatbuffer may take
  uint64_t segment_base;  // 0: there are no segments
};

std::optional<Layout> read_layout(const uint8_t* data, uint64_t size) {
  if (size < kHeaderOffset || std::memcmp(data + kIdentifierOffset, kIdentifier.data(), kIdentifier.size()) != 0) {
    return std::nullopt;
  }
  if (size < kHeaderOffset + kHeaderSize ||
      std::memcmp(data + kHeaderOffset, kHeaderMagic.data(), kHeaderMagic.size()) != 0) {
    return Layout{size, 0};  // no extended header: the program is the whole file
  }
  const Layout layout{scalar_at<uint64_t>(data, kHeaderOffset + 8), scalar_at<uint64_t>(data, kHeaderOffset + 16)};
  const bool whole = layout.program_size >= kHeaderOffset && layout.program_size <= size && layout.segment_base <= size;
  return whole && scalar_at<uint32_t>(data, kHeaderOffset + 4) >= kHeaderSize ? std::optional(layout) : std::nullopt;
}

struct Region {
  uint64_t offset = 0;
  uint64_t size = 0;
};

/// Where a delegate's payload lies: in a segment, or in the flatbuffer.
Region region_of(Buffer& buffer, Table& root, Table reference, const Layout& layout, uint64_t file_size) {
  const auto index = reference.scalar<uint32_t>(field::kIndex);
  if (reference.scalar<uint8_t>(field::kLocation) != kInSegment) {
    const Vector data = root.vector(field::kInlineData).table(index).vector(field::kInlineBytes, 1);
    return {data.position(), data.count()};
  }
  Table segment = root.vector(field::kSegments).table(index);
  const auto offset = segment.scalar<uint64_t>(field::kSegmentOffset);
  const auto size = segment.scalar<uint64_t>(field::kSegmentSize);
  if (layout.segment_base == 0 || !wire::fits(offset, size, file_size - layout.segment_base)) {
    buffer.fail("segment " + std::to_string(index) + " of " + std::to_string(size) + " bytes outside of the file");
    return {};
  }
  return {layout.segment_base + offset, size};
}

std::vector<BakedSpec> specs_of(Buffer& buffer, Table& delegate) {
  std::vector<BakedSpec> specs;
  Vector all = delegate.vector(field::kSpecs);
  for (uint64_t i = 0; i < all.count() && !buffer.failed(); ++i) {
    Table spec = all.table(i);
    specs.push_back({std::string(spec.text(field::kSpecKey)), std::string(spec.vector(field::kSpecValue, 1).bytes())});
  }
  return specs;
}

}  // namespace

ProgramFile::ProgramFile(ProgramFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_), delegates_(std::move(other.delegates_)) {}

ProgramFile::~ProgramFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

Result<std::vector<DelegateRecord>> read_delegates(const std::string& path, const uint8_t* data, uint64_t size) {
  const std::optional<Layout> layout = read_layout(data, size);
  if (!layout) return damaged(path, "a file of " + std::to_string(size) + " bytes that is none, or cut");
  std::vector<DelegateRecord> found;
  Buffer buffer(data, layout->program_size);
  Table root(buffer, buffer.follow(0));
  Vector plans = root.vector(field::kPlans);
  for (uint64_t i = 0; i < plans.count() && !buffer.failed(); ++i) {
    Table plan = plans.table(i);
    const std::string method(plan.text(field::kMethod));
    Vector delegates = plan.vector(field::kDelegates);
    for (uint64_t j = 0; j < delegates.count() && !buffer.failed(); ++j) {
      Table delegate = delegates.table(j);
      Region region;  // of no bytes where there is no payload: its backend knows what that means
      if (delegate.has(field::kProcessed)) {
        region = region_of(buffer, root, delegate.table(field::kProcessed), *layout, size);
      }
      const std::string backend(delegate.text(field::kBackend));
      found.push_back({method, backend, region.offset, region.size, specs_of(buffer, delegate)});
    }
  }
  if (buffer.failed()) return damaged(path, "a broken program: " + buffer.why());
  return found;
}

Result<ProgramFile> ProgramFile::open(const std::string& path) {
  // Not blocking: the writer of a pipe may never come.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return unreadable(path, std::strerror(errno));
  struct stat info{};
  const bool regular = fstat(file.get(), &info) == 0 && S_ISREG(info.st_mode);
  const auto size = regular ? static_cast<uint64_t>(info.st_size) : 0;
  void* data = size == 0 ? MAP_FAILED : mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  const int error = errno;
  if (!regular) return unreadable(path, "not a regular file");
  if (size == 0) return damaged(path, "an empty file");
  if (data == MAP_FAILED) return unreadable(path, std::strerror(error));
  ProgramFile program(static_cast<const uint8_t*>(data), size);
  auto delegates = read_delegates(path, program.data_, program.size_);
  if (!delegates.ok()) return std::move(delegates).failure();
  program.delegates_ = std::move(delegates).value();
  return program;
}

}  // namespace torchtrt_ws
