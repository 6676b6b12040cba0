// One file from a cold disk into memory, and how many seconds that takes, on stdout. One process reads once.
//
//   cold FILE ours|read|disk
//
// ours: as a plan is read, copy_mapped() from a mapping; with its checksum. read: read(2) in order, as dd and cp do.
// disk: what the disk gives, 8 threads that pass the page cache by (O_DIRECT). The file is taken out of the page cache
// before (posix_fadvise, POSIX_FADV_DONTNEED); the memory has its pages already.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/copy_mapped.h"
#include "base/pieces.h"
#include "digest/scattered_crc32c.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kPiece = uint64_t{2} << 20;  // bytes

[[noreturn]] void die(const std::string& what) {
  std::perror(("cold: " + what).c_str());
  std::exit(1);
}

void ours(int file, uint64_t size, char* memory) {
  void* const mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  if (mapped == MAP_FAILED) die("mmap");
  const auto* data = static_cast<const uint8_t*>(mapped);
  torchtrt_ws::ScatteredCrc32c all;
  torchtrt_ws::copy_mapped(data, 0, size, memory, true, [&](uint64_t from, uint64_t to) {
    torchtrt_ws::Crc32c crc;
    crc.update(data + from, to - from);
    if (from != to) all.add(from, to, crc);
  });
  if (munmap(mapped, size) != 0) die("munmap");
}

void read_in_order(int file, uint64_t size, char* memory) {
  for (uint64_t at = 0; at < size;) {
    const ssize_t got = read(file, memory + at, std::min(kPiece, size - at));
    if (got <= 0) die("read");
    at += static_cast<uint64_t>(got);
  }
}

void direct(const char* path, uint64_t size, char* memory) {
  const int file = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (file < 0) die(std::string("O_DIRECT of ") + path);
  torchtrt_ws::for_each_piece(size, kPiece, 8, [&](uint64_t from, uint64_t to) {
    const ssize_t got = pread(file, memory + from, kPiece, static_cast<off_t>(from));  // to the end of a block
    if (got < static_cast<ssize_t>(to - from)) die("pread");
  });
  close(file);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string how = argc == 3 ? argv[2] : "";
  if (how != "ours" && how != "read" && how != "disk") {
    std::fprintf(stderr, "cold: expected FILE and ours, read or disk\n");
    return 2;
  }
  const int file = open(argv[1], O_RDONLY | O_CLOEXEC);
  struct stat info{};
  if (file < 0 || fstat(file, &info) != 0) die(argv[1]);
  const auto size = static_cast<uint64_t>(info.st_size);
  const uint64_t room = (size + kPiece - 1) / kPiece * kPiece;
  auto* const memory = static_cast<char*>(std::aligned_alloc(kPiece, room));
  if (memory == nullptr) die("aligned_alloc");
  std::memset(memory, 1, room);
  if (fdatasync(file) != 0 || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0) die("posix_fadvise");
  const Clock::time_point start = Clock::now();
  if (how == "ours") ours(file, size, memory);
  if (how == "read") read_in_order(file, size, memory);
  if (how == "disk") direct(argv[1], size, memory);
  std::printf("%.4f\n", std::chrono::duration<double>(Clock::now() - start).count());
  return 0;
}
